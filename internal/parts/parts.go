// Package parts opens what most services stand on: PostgreSQL and Redis, by the program's configuration.
package parts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

// Limits are the knobs that say how often and how soon a run may be tried.
func Limits(c *config.Config) run.Limits {
	return run.Limits{
		MaxAttempts: c.MaxAttempts, BaseBackoff: c.BaseBackoff(), MaxBackoff: c.MaxBackoff(), Cooldown: c.Cooldown(),
		PerRepository: c.ConcurrencyLimit, Lease: c.LeaseTTL(),
	}
}

// Store opens PostgreSQL, waits until it answers, and brings its schema up to date.
func Store(ctx context.Context, e *program.Env) (*store.Store, error) {
	url := e.Config.DatabaseURL.Reveal()
	st, err := store.Open(ctx, url, store.Options{MaxConns: e.Config.DatabaseMaxConns, Tracer: e.Telemetry.Traces})
	if err != nil {
		return nil, err
	}
	for said := false; ; said = true {
		_, err := store.Migrate(ctx, url)
		if err == nil {
			return st, nil
		}
		if !said {
			e.Log.WarnContext(ctx, "waiting for PostgreSQL", "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			st.Close()
			return nil, ctx.Err()
		}
	}
}

// Redis opens Redis. Commands fail fast when it is away: whoever needs it waits by not taking work.
func Redis(e *program.Env) (*redis.Client, error) {
	opts, err := redis.ParseURL(e.Config.RedisURL.Reveal())
	if err != nil {
		return nil, errors.New("REDIS_URL is not a Redis URL") // the parser's error may quote it, password included
	}
	opts.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opts)
	if err := redisotel.InstrumentTracing(rdb, redisotel.WithTracerProvider(e.Telemetry.Traces)); err != nil {
		return nil, fmt.Errorf("trace redis: %w", err)
	}
	return rdb, nil
}
