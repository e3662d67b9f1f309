package throttle_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/services/throttle"
	"github.com/sre-agent/sre-agent/streams"
)

// walker is a stream whose consumer is done with everything.
type walker struct {
	mu       sync.Mutex
	messages []*streams.Message
}

func (w *walker) replace(messages []*streams.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = messages
}

func (w *walker) WalkDone(_ context.Context, _, _ string, from uint64, n int, f func(*streams.Message) error) (next, last uint64, err error) {
	w.mu.Lock()
	messages := w.messages
	w.mu.Unlock()
	for next = from; next <= uint64(len(messages)) && n > 0; next, n = next+1, n-1 {
		if err := f(messages[next-1]); err != nil {
			return next, uint64(len(messages)), err
		}
	}
	return next, uint64(len(messages)), nil
}

func TestDeliveriesThatNoRecordKnowsAreHandedInAgain(t *testing.T) {
	r := newRig(t, 10_000)
	w := &walker{}
	for n := range 450 {
		w.messages = append(w.messages, message(fmt.Sprint("d", n), "workflow_run", failedRun(n)))
		if n%3 == 0 { // the others were forgotten by a database that was restored from an older copy
			r.Handle(t.Context(), w.messages[n])
		}
	}
	rec := &throttle.Reconciler{Stream: w, Store: r.st, Handle: r.Handle, Log: r.tel.Log, Interval: 20 * time.Millisecond}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); rec.Loop(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	all := func(n int64) func() bool {
		return func() bool {
			counts, err := r.st.DeliveryCounts(t.Context())
			return err == nil && counts["run"] == n
		}
	}
	testenv.Eventually(t, 30*time.Second, all(450))
	if _, err := r.st.Pool().Exec(t.Context(), "delete from deliveries where delivery_id = 'd7'"); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, func() bool {
		at, err := r.st.Checkpoint(t.Context(), "reconcile/DELIVERIES")
		return err == nil && at == 450
	})
	// A stream that was made anew begins again at its first sequence, and so does the reconciler.
	w.replace([]*streams.Message{message("d7", "workflow_run", failedRun(7))})
	testenv.Eventually(t, 5*time.Second, func() bool {
		counts, err := r.st.DeliveryCounts(t.Context())
		return err == nil && counts["coalesced"] == 1
	})
}
