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

// Parts are what a service stands on.
type Parts struct {
	Store *store.Store
	// Redis is nil for a service that needs none.
	Redis *redis.Client
}

// Open opens PostgreSQL and Redis.
func Open(ctx context.Context, e *program.Env) (*Parts, error) {
	p, err := OpenStore(ctx, e)
	if err != nil {
		return nil, err
	}
	if p.Redis, err = OpenRedis(e); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// OpenStore opens PostgreSQL alone.
func OpenStore(ctx context.Context, e *program.Env) (*Parts, error) {
	st, err := openStore(ctx, e)
	if err != nil {
		return nil, err
	}
	return &Parts{Store: st}, nil
}

// Announce has the readiness page look at the parts and at NATS. Call it when all of them are open: a page that
// knows but some of them would say too early that the service is ready.
func (p *Parts) Announce(e *program.Env, nats func(context.Context) error) {
	e.HTTP.Ready("nats", nats)
	e.HTTP.Ready("postgresql", p.Store.Ping)
	if p.Redis != nil {
		e.HTTP.Ready("redis", p.RedisReady)
	}
}

// Close closes the connections.
func (p *Parts) Close() {
	if p.Redis != nil {
		_ = p.Redis.Close()
	}
	p.Store.Close()
}

// Ready says whether all of them answer.
func (p *Parts) Ready(ctx context.Context) error {
	return errors.Join(p.Store.Ping(ctx), p.RedisReady(ctx))
}

// RedisReady says whether Redis answers.
func (p *Parts) RedisReady(ctx context.Context) error {
	if p.Redis == nil {
		return nil
	}
	if err := p.Redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// openStore opens PostgreSQL, waits until it answers, and brings its schema up to date.
func openStore(ctx context.Context, e *program.Env) (*store.Store, error) {
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

// OpenRedis opens Redis alone. Commands fail fast when it is away: whoever needs it waits by not taking work.
func OpenRedis(e *program.Env) (*redis.Client, error) {
	opts, err := redis.ParseURL(e.Config.RedisURL.Reveal())
	if err != nil {
		return nil, errors.New("REDIS_URL is not a Redis URL") // the parser's error may quote it, password included
	}
	opts.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opts)
	if err := redisotel.InstrumentTracing(rdb, redisotel.WithTracerProvider(e.Telemetry.Traces)); err != nil {
		return nil, fmt.Errorf("trace redis: %w", err)
	}
	measured, err := newTimed(e.Telemetry.Meters)
	if err != nil {
		return nil, err
	}
	rdb.AddHook(measured)
	return rdb, nil
}
