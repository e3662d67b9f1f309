package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/services/ingest"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/services/runner"
	"github.com/sre-agent/sre-agent/services/throttle"
)

func (a *app) upCommand() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Run all four services in one process", Args: cobra.NoArgs,
		Long: "Run ingest, throttle, runner and publisher in one process. Whichever of NATS_URL, DATABASE_URL and REDIS_URL is not\n" +
			"set is replaced by a server of this process's own, with its data below DATA_DIR. Logs go to standard error.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context()) },
	}
}

func (a *app) up(ctx context.Context) error {
	cfg, err := config.Load(config.All, a.environ)
	if err != nil {
		return err
	}
	all, err := startAllInOne(ctx, cfg, a.stderr)
	if err != nil {
		return err
	}
	return errors.Join(all.serve(ctx), all.close())
}

// allInOne is the four services on one environment, and the servers that they need and nobody has named.
type allInOne struct {
	cfg   *config.Config
	env   *program.Env
	parts *parts
	// listening gets the HTTP server's address once.
	listening chan string
}

// startAllInOne starts the servers. Call serve to run the services, and close after that.
func startAllInOne(ctx context.Context, cfg *config.Config, logs io.Writer) (*allInOne, error) {
	env, err := program.NewEnv(ctx, cfg, logs)
	if err != nil {
		return nil, err
	}
	for _, w := range cfg.Warnings() {
		env.Log.WarnContext(ctx, w)
	}
	all := &allInOne{cfg: cfg, env: env, listening: make(chan string, 1)}
	if all.parts, err = startParts(ctx, cfg, env.Log); err != nil {
		env.Close()
		return nil, err
	}
	return all, nil
}

// serve runs the four services until ctx ends, or one of them fails and takes the others with it.
func (a *allInOne) serve(ctx context.Context) error {
	return a.env.Serve(ctx, func(ctx context.Context, env *program.Env) error {
		a.listening <- env.HTTP.Addr()
		g, ctx := errgroup.WithContext(ctx)
		for _, serve := range []func(context.Context, *program.Env) error{ingest.Serve, throttle.Serve, runner.Serve, publisher.Serve} {
			g.Go(func() error { return serve(ctx, env) })
		}
		return g.Wait()
	})
}

// close stops the servers, the last one started first.
func (a *allInOne) close() error {
	err := a.parts.stop()
	a.env.Close()
	return err
}
