package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sre-agent/sre-agent/internal/embedded"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/parts"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/runner"
	"github.com/sre-agent/sre-agent/streams"
)

// servers are a PostgreSQL, a redis-server and a NATS server of a bench's own.
type servers struct {
	pg    *embedded.Postgres
	redis *embedded.RedisServer
	nats  *embedded.NATS
	st    *store.Store
	stops []func()
}

// startServers starts them, PostgreSQL with fsync and the schema, NATS with a sync of each write if sync is set.
func startServers(ctx context.Context, dir string, sync bool) (s *servers, err error) {
	s = &servers{}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.pg, err = embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: filepath.Join(dir, "postgres"), Fsync: true, Statements: true}); err != nil {
		return s, err
	}
	s.stops = append(s.stops, func() { _ = s.pg.Stop() })
	if s.redis, err = embedded.StartRedisServer(ctx, filepath.Join(dir, "redis"), nil); err != nil {
		return s, err
	}
	s.stops = append(s.stops, func() { _ = s.redis.Stop() })
	if s.nats, err = embedded.StartNATS(embedded.NATSOptions{Dir: filepath.Join(dir, "nats"), SyncAlways: sync}); err != nil {
		return s, err
	}
	s.stops = append(s.stops, s.nats.Shutdown)
	if _, err := store.Migrate(ctx, s.pg.URL()); err != nil {
		return s, err
	}
	if s.st, err = store.Open(ctx, s.pg.URL(), store.Options{MaxConns: workers + 4}); err != nil {
		return s, err
	}
	s.stops = append(s.stops, s.st.Close)
	if _, err := s.st.Pool().Exec(ctx, "create extension pg_stat_statements"); err != nil {
		return s, err
	}
	return s, nil
}

// fill lets runs wait, due that far from now.
func (s *servers) fill(ctx context.Context, waiting, repositories int, due time.Duration) error {
	loader, err := unbounded(ctx, s.st.Pool())
	if err != nil {
		return err
	}
	defer loader.Close()
	if err := load(ctx, loader, waiting, repositories, due); err != nil {
		return err
	}
	_, err = s.st.MendTurns(ctx, perRepository)
	return err
}

func (s *servers) stop() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	s.stops = nil
}

// environ configures the services for these servers.
func (s *servers) environ() map[string]string {
	return map[string]string{
		"DATABASE_URL": s.pg.URL(), "REDIS_URL": s.redis.URL(), "NATS_URL": s.nats.URL(), "HTTP_ADDR": "127.0.0.1:0",
		"GITHUB_WEBHOOK_SECRETS": secret, "GITHUB_READ_TOKEN": "unused", "REPO_PIPELINE_CONCURRENCY_LIMIT": fmt.Sprint(perRepository),
		// The storm is to wait for slots, which is what the benches are about, not for its rate.
		"REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE": "100000", "LOG_LEVEL": "info",
		"DELIVERIES_MAX_BYTES": "1073741824", // the server reserves it, and a bench needs no more
	}
}

// serveRunner is the real runner with another pipeline, and a store that may be watched.
func serveRunner(ctx context.Context, env *program.Env, pipeline runner.Pipeline, watch func(*store.Store) runner.Store) error {
	p, err := parts.Open(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	bus, err := streams.Open(ctx, env.Config, streams.RunnerRole, env.Log, env.Telemetry.Traces)
	if err != nil {
		return err
	}
	defer bus.Close()
	p.Announce(env, bus.Ready)
	service := &runner.Service{
		Store: watch(p.Store), Lock: lease.NewLock(p.Redis, "sre-agent:lock:"), Slots: lease.NewSlots(p.Redis, "sre-agent:slots:"), Bell: bus,
		Pipeline: pipeline, Counters: env.Telemetry.Counters, Log: env.Log, Limits: parts.Limits(env.Config), Holder: env.Holder,
		TTL: env.Config.LeaseTTL(),
	}
	return bus.Consume(ctx, streams.Worker{
		Consumer: streams.RunnerConsumer, Workers: env.Config.RunnerWorkers, Handle: service.Handle, Grace: time.Second,
		Ready: func(ctx context.Context) error { return errors.Join(bus.Ready(ctx), p.Ready(ctx)) },
	})
}
