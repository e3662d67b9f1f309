package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/embedded"
)

// parts are the servers that this process runs itself.
type parts struct {
	// postgresDir is where PostgreSQL's data is; empty when somebody else runs it.
	postgresDir string
	stops       []func() error
}

// startParts starts a server for each that the configuration does not name, and names it there.
func startParts(ctx context.Context, cfg *config.Config, log *slog.Logger) (*parts, error) {
	p := &parts{}
	for _, start := range []func(context.Context, *config.Config, *slog.Logger) error{p.postgres, p.redis, p.nats} {
		if err := start(ctx, cfg, log); err != nil {
			return nil, errors.Join(err, p.stop())
		}
	}
	return p, nil
}

// stop stops what was started, in reverse order.
func (p *parts) stop() error {
	var errs []error
	for i := len(p.stops) - 1; i >= 0; i-- {
		errs = append(errs, p.stops[i]())
	}
	p.stops = nil
	return errors.Join(errs...)
}

func (p *parts) postgres(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	if cfg.DatabaseURL.IsSet() {
		return nil
	}
	srv, err := embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: filepath.Join(cfg.DataDir, "postgres"), Fsync: true, Log: log})
	if err != nil {
		return fmt.Errorf("DATABASE_URL is not set: %w", err)
	}
	p.stops = append(p.stops, srv.Stop)
	p.postgresDir = srv.Dir()
	cfg.DatabaseURL = config.NewSecret(srv.URL())
	log.InfoContext(ctx, "DATABASE_URL is not set: running a private PostgreSQL", "url", srv.URL(), "dir", srv.Dir())
	return nil
}

func (p *parts) redis(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	if cfg.RedisURL.IsSet() {
		return nil
	}
	srv, err := embedded.StartRedis()
	if err != nil {
		return fmt.Errorf("REDIS_URL is not set: %w", err)
	}
	p.stops = append(p.stops, func() error { srv.Close(); return nil })
	cfg.RedisURL = config.NewSecret(srv.URL())
	log.WarnContext(ctx, "REDIS_URL is not set: locks, slots and rates are kept in this process's memory, which is for one process only")
	return nil
}

func (p *parts) nats(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	if cfg.NATSURL != "" {
		return nil
	}
	srv, err := embedded.StartNATS(embedded.NATSOptions{Dir: filepath.Join(cfg.DataDir, "nats"), SyncAlways: true, Log: log})
	if err != nil {
		return fmt.Errorf("NATS_URL is not set: %w", err)
	}
	p.stops = append(p.stops, func() error { srv.Shutdown(); return nil })
	cfg.NATSURL = srv.URL()
	log.InfoContext(ctx, "NATS_URL is not set: running NATS in this process", "url", srv.URL())
	return nil
}
