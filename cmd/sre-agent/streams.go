package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/streams"
)

// answerWithin is how long an operator's command waits for a server.
const answerWithin = 15 * time.Second

func (a *app) streamsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "streams", Short: "Look after the JetStream streams and consumers", RunE: group}
	cmd.AddCommand(&cobra.Command{
		Use: "apply", Short: "Make the server's streams what the table says", Args: cobra.NoArgs,
		Long: "Make the streams and consumers of the server at NATS_URL what the table says. When a change would lose messages\n" +
			"nothing is changed, and the differences are shown. The throttle does the same when it starts.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.applyStreams(cmd.Context()) },
	}, &cobra.Command{
		Use: "diff", Short: "Show how the server's streams differ from the table", Args: cobra.NoArgs,
		Long: "Show how the streams and consumers of the server at NATS_URL differ from the table, and change nothing.\n" +
			"The exit code is 1 when there are differences.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.diffStreams(cmd.Context()) },
	})
	return cmd
}

func (a *app) applyStreams(ctx context.Context) error {
	return a.withBus(ctx, func(ctx context.Context, bus *streams.Bus, _ streams.Settings) error {
		changes, err := bus.Apply(ctx)
		var drift *streams.DriftError
		if errors.As(err, &drift) {
			a.showChanges(drift.Changes)
			return errors.New("nothing was changed: the streams on the server differ from the table in ways that need a person")
		}
		if err != nil {
			return err
		}
		a.showChanges(changes)
		return nil
	})
}

func (a *app) diffStreams(ctx context.Context) error {
	return a.withBus(ctx, func(ctx context.Context, bus *streams.Bus, settings streams.Settings) error {
		changes, err := streams.Diff(ctx, bus.JetStream(), settings)
		if err != nil {
			return err
		}
		a.showChanges(changes)
		if len(changes) > 0 {
			return errors.New("the streams on the server differ from the table")
		}
		return nil
	})
}

func (a *app) showChanges(changes []streams.Change) {
	t := a.terminal()
	for _, c := range changes {
		t.printf("%s\n", visible(c.String()))
	}
	if len(changes) == 0 {
		t.printf("nothing to change\n")
	}
}

func (a *app) withBus(ctx context.Context, do func(context.Context, *streams.Bus, streams.Settings) error) error {
	cfg, err := a.operator()
	if err != nil {
		return err
	}
	if cfg.NATSURL == "" {
		return notSet("NATS_URL", "nats://127.0.0.1:4222")
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	bus, err := streams.ConnectWith(cfg, streams.OperatorRole, log, nil)
	if err != nil {
		return err
	}
	defer bus.Close()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := do(ctx, bus, streams.SettingsFrom(cfg)); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("NATS did not answer within %s: %w", answerWithin, err)
		}
		return err
	}
	return nil
}
