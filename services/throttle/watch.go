package throttle

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/streams"
)

const (
	// watchEvery is how often gauges are looked at; watchGood is how long a value is good without a newer one.
	watchEvery = 15 * time.Second
	watchGood  = 3 * watchEvery
	// watchShare is how much longer than a count of the runs the rest after it is at least: a million that wait take their
	// time, and must never take the database's.
	watchShare = 50
)

// Counts is what the watch needs of the store.
type Counts interface {
	OpenRuns(ctx context.Context) ([]store.OpenRuns, error)
	OldestDue(ctx context.Context) (time.Duration, error)
}

// Streams is what the watch needs of the streams.
type Streams interface {
	Lags(ctx context.Context) ([]streams.Lag, error)
}

// Watch shows how the system stands: runs, claims, streams and consumers. Each gauge is looked at by one query an interval at most,
// however often it is scraped. What several throttles show of the streams is the same; runs are shown by the leader alone.
type Watch struct {
	Store   Counts
	Streams Streams
	Board   *telemetry.Board
	Log     *slog.Logger
	// Depends are what this program stands on.
	Depends map[string]func(context.Context) error
}

// Loop looks until ctx ends; leads says whether this process is the leader. Each part is looked at by itself: what hangs
// must not keep the others from being shown, least of all that something is down.
func (w *Watch) Loop(ctx context.Context, leads func() bool) {
	var wg sync.WaitGroup
	wg.Go(func() { w.every(ctx, 1, w.streams) })
	wg.Go(func() { w.every(ctx, 1, w.depends) })
	wg.Go(func() {
		w.every(ctx, watchShare, func(ctx context.Context) error {
			if leads() {
				return w.runs(ctx)
			}
			for _, gauge := range []string{telemetry.Runs, telemetry.RunsWaiting, telemetry.OldestClaimSeconds, telemetry.LeasesOverdue, telemetry.OldestDueSeconds} {
				w.Board.Clear(gauge)
			}
			return nil
		})
	})
	wg.Wait()
}

// every looks until ctx ends. The rest after a look is at least share times as long as the look.
func (w *Watch) every(ctx context.Context, share time.Duration, look func(context.Context) error) {
	timer := time.NewTimer(time.Second) // by then somebody leads
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		if err := look(ctx); err != nil && ctx.Err() == nil {
			w.Log.WarnContext(ctx, "not all gauges could be read", "error", err)
		}
		timer.Reset(max(watchEvery, share*time.Since(began)))
	}
}

// runs counts the runs that have not ended.
func (w *Watch) runs(ctx context.Context) error {
	began := time.Now()
	counts, err := w.Store.OpenRuns(ctx)
	if err != nil {
		return err
	}
	oldest, err := w.Store.OldestDue(ctx)
	if err != nil {
		return err
	}
	good := max(watchGood, 2*watchShare*time.Since(began)) // longer than the rest
	states := zeros(run.Waiting, run.Ready, run.Running, run.Fixed, run.Publishing)
	claims := zeros(run.Running, run.Publishing)
	waiting := zeros(run.WaitNew, run.WaitRateLimited, run.WaitNoSlot, run.WaitBackoff, run.WaitCooldown, run.WaitDependency, run.WaitPRCap)
	overdue := 0.0
	for _, c := range counts {
		states[c.State] += float64(c.Count)
		overdue += float64(c.Overdue)
		switch run.State(c.State) {
		case run.Waiting:
			waiting[c.Reason] = float64(c.Count)
		case run.Running, run.Publishing:
			claims[c.State] = max(claims[c.State], c.Oldest)
		default:
		}
	}
	w.Board.Show(telemetry.Runs, good, samples(states)...)
	w.Board.Show(telemetry.RunsWaiting, good, samples(waiting)...)
	w.Board.Show(telemetry.OldestClaimSeconds, good, samples(claims)...)
	w.Board.Show(telemetry.LeasesOverdue, good, telemetry.Sample{Value: overdue})
	w.Board.Show(telemetry.OldestDueSeconds, good, telemetry.Sample{Value: oldest.Seconds()})
	return nil
}

// streams shows how streams and consumers stand.
func (w *Watch) streams(ctx context.Context) error {
	lags, err := w.Streams.Lags(ctx)
	if err != nil {
		return err
	}
	shown := map[string][]telemetry.Sample{}
	add := func(gauge, label string, value int64) {
		shown[gauge] = append(shown[gauge], telemetry.Sample{Label: label, Value: float64(value)})
	}
	for _, l := range lags {
		add(telemetry.StreamMessages, l.Stream, l.Messages)
		add(telemetry.StreamBytes, l.Stream, l.Bytes)
		add(telemetry.StreamMaxBytes, l.Stream, l.MaxBytes)
		if l.Stream == streams.DeadStream {
			add(telemetry.DeadLetters, "", l.Messages)
		}
		if l.Consumer == "" {
			continue
		}
		add(telemetry.StreamPending, l.Stream, l.Pending+l.AckPending)
		add(telemetry.ConsumerPending, l.Consumer, l.Pending)
		add(telemetry.ConsumerAckPending, l.Consumer, l.AckPending)
		add(telemetry.ConsumerRedelivered, l.Consumer, l.Redelivered)
	}
	for gauge, values := range shown {
		w.Board.Show(gauge, watchGood, values...)
	}
	return nil
}

// depends asks what the program stands on. Each has a time of its own, so that one that hangs is no other's fault.
func (w *Watch) depends(ctx context.Context) error {
	up := map[string]float64{}
	for name, ready := range w.Depends {
		up[name] = w.answers(ctx, ready)
	}
	w.Board.Show(telemetry.DependencyUp, watchGood, samples(up)...)
	return nil
}

// answers is 1 when a dependency does, in its share of the interval.
func (w *Watch) answers(ctx context.Context, ready func(context.Context) error) float64 {
	ctx, cancel := context.WithTimeout(ctx, watchEvery/time.Duration(len(w.Depends)))
	defer cancel()
	if ready(ctx) != nil {
		return 0
	}
	return 1
}

// zeros are values that are shown when there is nothing to count, too.
func zeros[T ~string](labels ...T) map[string]float64 {
	out := make(map[string]float64, len(labels))
	for _, l := range labels {
		out[string(l)] = 0
	}
	return out
}

func samples(values map[string]float64) []telemetry.Sample {
	out := make([]telemetry.Sample, 0, len(values))
	for label, v := range values {
		out = append(out, telemetry.Sample{Value: v, Label: label})
	}
	return out
}
