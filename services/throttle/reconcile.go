package throttle

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sre-agent/sre-agent/streams"
)

// Walker reads what the deliveries stream holds.
type Walker interface {
	// WalkDone calls f for each message from sequence `from` on that the consumer is done with, at most n, and
	// returns the sequence to go on from. last is the newest sequence of the stream.
	WalkDone(ctx context.Context, stream, consumer string, from uint64, n int, f func(*streams.Message) error) (next, last uint64, err error)
}

// Records says which deliveries have a record, and remembers how far the reconciler has come.
type Records interface {
	KnownDeliveries(ctx context.Context, provider string, ids []string) (map[string]bool, error)
	Checkpoint(ctx context.Context, name string) (int64, error)
	SetCheckpoint(ctx context.Context, name string, position int64) error
}

// Reconciler finds deliveries in the stream that no record knows, though the consumer is done with them: after the
// server or the database was restored from an older copy. It hands them in again. Its cost is linear in the
// deliveries since its last round.
type Reconciler struct {
	Stream   Walker
	Store    Records
	Handle   func(context.Context, *streams.Message) streams.Outcome
	Log      *slog.Logger
	Interval time.Duration
}

const (
	reconcileEvery = 10 * time.Second
	reconcileBatch = 200
	checkpointName = "reconcile/" + streams.Deliveries
)

// Loop runs rounds until ctx ends.
func (r *Reconciler) Loop(ctx context.Context) {
	tick := time.NewTicker(r.Interval)
	defer tick.Stop()
	for {
		for more := true; more; {
			var err error
			if more, err = r.runOnce(ctx); err != nil && ctx.Err() == nil {
				r.Log.WarnContext(ctx, "reconciling deliveries failed; it is tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// runOnce looks at one batch and says whether there is more.
func (r *Reconciler) runOnce(ctx context.Context) (more bool, err error) {
	at, err := r.Store.Checkpoint(ctx, checkpointName)
	if err != nil {
		return false, err
	}
	var batch []*streams.Message
	next, last, err := r.Stream.WalkDone(ctx, streams.Deliveries, streams.ThrottleConsumer, uint64(at)+1, reconcileBatch, func(m *streams.Message) error {
		batch = append(batch, m)
		return nil
	})
	if err != nil {
		return false, err
	}
	if last < uint64(at) { // the stream was made anew, or restored: its sequences began again
		return true, r.Store.SetCheckpoint(ctx, checkpointName, 0)
	}
	if next == uint64(at)+1 {
		return false, nil
	}
	if err := r.handIn(ctx, batch); err != nil {
		return false, err
	}
	return true, r.Store.SetCheckpoint(ctx, checkpointName, int64(next)-1)
}

// handIn hands in again what has no record. A delivery that can't be recorded now stops the round: the checkpoint
// stays.
func (r *Reconciler) handIn(ctx context.Context, batch []*streams.Message) error {
	byProvider := map[string][]string{}
	for _, m := range batch {
		if d, err := delivery(m); err == nil {
			byProvider[d.Provider] = append(byProvider[d.Provider], d.ID)
		}
	}
	for provider, ids := range byProvider {
		known, err := r.Store.KnownDeliveries(ctx, provider, ids)
		if err != nil {
			return err
		}
		for _, m := range batch {
			d, err := delivery(m)
			if err != nil || d.Provider != provider || known[d.ID] {
				continue
			}
			r.Log.WarnContext(ctx, "a delivery had no record; it is handed in again", "delivery_id", d.ID, "sequence", m.Sequence)
			if o := r.Handle(ctx, m); o.Left() {
				return fmt.Errorf("delivery %s: %s", d.ID, o)
			}
		}
	}
	return nil
}
