package throttle

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/parts"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// Serve builds the service from its environment and runs it until ctx ends.
func Serve(ctx context.Context, env *program.Env) error {
	cfg := env.Config
	st, err := parts.Store(ctx, env)
	if err != nil {
		return err
	}
	defer st.Close()
	rdb, err := parts.Redis(env)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	bus, err := streams.ConnectWith(cfg, "throttle", env.Log, env.Telemetry.Traces)
	if err != nil {
		return err
	}
	defer bus.Close()
	if _, err := bus.Apply(ctx); err != nil {
		return fmt.Errorf("throttle: %w", err)
	}
	env.HTTP.Ready("nats", bus.Ready)
	env.HTTP.Ready("postgresql", st.Ping)
	env.HTTP.Ready("redis", func(ctx context.Context) error { return rdb.Ping(ctx).Err() })

	sched := NewScheduler(Scheduler{
		Store: st, Bell: bus, Counters: env.Telemetry.Counters, Log: env.Log, Limits: parts.Limits(cfg),
		Silence: cfg.LeaseTTL(), Interval: cfg.SweepInterval(),
	})
	intake := &Intake{
		Store: st, Rate: lease.NewRate(rdb, "sre-agent:rate:"), Events: bus, Counters: env.Telemetry.Counters, Log: env.Log,
		PerMinute: cfg.WebhookRatePerMinute, AgentEmail: cfg.AgentEmail, Wake: sched.Wake,
	}
	stopWake, err := bus.OnWake(sched.Wake)
	if err != nil {
		return err
	}
	defer stopWake()
	stopGauges, err := observe(env, st, bus)
	if err != nil {
		return err
	}
	defer stopGauges()

	var wg sync.WaitGroup
	wg.Go(func() { sched.Loop(ctx) })
	wg.Go(func() { _ = bus.MoveExhausted(ctx, noteDead(st)) })
	wg.Go(func() { bus.KeepTopology(ctx, cfg.SweepInterval()) })
	wg.Go(func() {
		(&Reconciler{Stream: bus, Store: st, Handle: intake.Handle, Log: env.Log, Interval: reconcileEvery}).Loop(ctx)
	})
	err = bus.Consume(ctx, streams.Worker{
		Consumer: streams.ThrottleConsumer, Workers: cfg.ThrottleWorkers, Handle: intake.Handle, Grace: cfg.ShutdownGrace(),
		Ready: func(ctx context.Context) error { return errors.Join(bus.Ready(ctx), st.Ping(ctx), ping(ctx, rdb)) },
	})
	wg.Wait()
	return err
}

func ping(ctx context.Context, rdb *redis.Client) error {
	if err := rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// noteDead records a delivery that the server gave up, before it is moved to DEAD.
func noteDead(st *store.Store) func(context.Context, *streams.Message) error {
	return func(ctx context.Context, m *streams.Message) error {
		if m.Stream != streams.Deliveries {
			return nil // the run's row remembers what a doorbell was for
		}
		d, err := delivery(m)
		if err != nil {
			return nil //nolint:nilerr // not a delivery: DEAD alone remembers it
		}
		_, err = st.RecordEnd(ctx, d, store.OutcomeDead, streams.ReasonMaxDeliveries)
		return err
	}
}
