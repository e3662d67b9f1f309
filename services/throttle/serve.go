package throttle

import (
	"context"
	"errors"
	"sync"

	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/parts"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// Serve builds the service from its environment and runs it until ctx ends.
func Serve(ctx context.Context, env *program.Env) error {
	cfg := env.Config
	// The streams come first: ingest can take deliveries in while the database is away.
	bus, err := streams.Open(ctx, cfg, streams.ThrottleRole, env.Log, env.Telemetry.Traces)
	if err != nil {
		return err
	}
	defer bus.Close()
	p, err := parts.Open(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := bus.Measure(env.Telemetry.Meters); err != nil {
		return err
	}
	p.Announce(env, bus.Ready)

	sched := NewScheduler(Scheduler{
		Store: p.Store, Bell: bus, Counters: env.Telemetry.Counters, Log: env.Log, Limits: parts.Limits(cfg),
		Silence: cfg.LeaseTTL(), Interval: cfg.SweepInterval(),
	})
	rates := &Rates{}
	intake := &Intake{
		Store: p.Store, Rate: lease.NewRate(p.Redis, "sre-agent:rate:"), Events: bus, Counters: env.Telemetry.Counters, Log: env.Log,
		PerMinute: cfg.WebhookRatePerMinute, Rates: rates, Forks: cfg.ForkFailures, AgentEmail: cfg.AgentEmail, Wake: sched.Wake,
	}
	redeliverer, err := newRedeliverer(cfg, p.Store, lease.NewLock(p.Redis, "sre-agent:"), env.Log)
	if err != nil {
		return err
	}
	stopWake, err := bus.OnWake(sched.Wake)
	if err != nil {
		return err
	}
	defer stopWake()
	watch := &Watch{
		Store: p.Store, Streams: bus, Board: env.Telemetry.Board, Log: env.Log,
		Depends: map[string]func(context.Context) error{"nats": bus.Ready, "postgresql": p.Store.Ping, "redis": p.RedisReady},
	}
	audit := &Audit{
		Stream: bus, Store: p.Store, Board: env.Telemetry.Board, Counters: env.Telemetry.Counters, Log: env.Log,
		AgentEmail: cfg.AgentEmail, Interval: cfg.AuditInterval(),
	}
	leader := &Leader{Store: p.Store, Log: env.Log}

	var wg sync.WaitGroup
	wg.Go(func() { sched.Loop(ctx) })
	wg.Go(func() { _ = bus.MoveExhausted(ctx, noteDead(p.Store)) })
	wg.Go(func() { forgetGreens(ctx, p.Store, cfg.DeliveriesMaxAge(), env.Log) })
	wg.Go(func() { rates.keep(ctx, p.Store.RepositoryRates, cfg.SweepInterval(), env.Log) })
	wg.Go(func() { bus.KeepTopology(ctx, cfg.SweepInterval()) })
	wg.Go(func() {
		(&Reconciler{Stream: bus, Store: p.Store, Handle: intake.Handle, Log: env.Log, Interval: reconcileEvery}).Loop(ctx)
	})
	wg.Go(func() { leader.Loop(ctx, audit.Loop) })
	wg.Go(func() { watch.Loop(ctx, leader.Leads) })
	if redeliverer != nil {
		wg.Go(func() { redeliverer.Loop(ctx) })
	}
	err = bus.Consume(ctx, streams.Worker{
		Consumer: streams.ThrottleConsumer, Workers: cfg.ThrottleWorkers, Handle: intake.Handle, Grace: cfg.ShutdownGrace(),
		Ready: func(ctx context.Context) error { return errors.Join(bus.Ready(ctx), p.Ready(ctx)) },
	})
	wg.Wait()
	return err
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
