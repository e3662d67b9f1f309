package throttle

import (
	"context"

	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/streams"
)

// observe shows what waits: runs by state, the oldest one that is due, and each consumer's backlog.
func observe(env *program.Env, st *store.Store, bus *streams.Bus) (stop func(), err error) {
	var stops []func() error
	stop = func() {
		for _, s := range stops {
			_ = s() // the process is ending
		}
	}
	for gauge, read := range map[string]func(context.Context) ([]telemetry.Sample, error){
		telemetry.Runs: func(ctx context.Context) ([]telemetry.Sample, error) { return open(ctx, st) },
		telemetry.StreamPending: func(ctx context.Context) ([]telemetry.Sample, error) {
			backlog, err := bus.Backlog(ctx)
			return samples(backlog), err
		},
		telemetry.OldestDueSeconds: func(ctx context.Context) ([]telemetry.Sample, error) {
			oldest, err := st.OldestDue(ctx)
			return []telemetry.Sample{{Value: oldest.Seconds()}}, err
		},
	} {
		s, err := env.Telemetry.Observe(gauge, read)
		if err != nil {
			stop()
			return nil, err
		}
		stops = append(stops, s)
	}
	return stop, nil
}

// open counts the runs that have not ended, by state.
func open(ctx context.Context, st *store.Store) ([]telemetry.Sample, error) {
	counts, err := st.RunCounts(ctx)
	if err != nil {
		return nil, err
	}
	byState := map[string]float64{}
	for _, c := range counts {
		if !run.State(c.State).Ended() {
			byState[c.State] += float64(c.Count)
		}
	}
	return samples(byState), nil
}

func samples(values map[string]float64) []telemetry.Sample {
	out := make([]telemetry.Sample, 0, len(values))
	for label, v := range values {
		out = append(out, telemetry.Sample{Value: v, Label: label})
	}
	return out
}
