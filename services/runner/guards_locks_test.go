package runner_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/runner"
)

func TestARunWhoseLockSomebodyHoldsIsLeftAlone(t *testing.T) {
	r := newRig(t)
	m := r.rung(1)
	if ok, err := lease.NewLock(r.rdb, "lock:").Acquire(t.Context(), r.state(m.RunID).RunKey, "other", time.Minute); err != nil || !ok {
		t.Fatal(ok, err)
	}
	s := r.service(func(context.Context, store.Run) runner.Result {
		t.Error("worked on a run whose lock another runner holds")
		return runner.Result{State: run.Declined, Reason: "no_fixer"}
	})
	s.Handle(t.Context(), m)
	if got := r.state(m.RunID); got.State != "ready" {
		t.Errorf("%s(%s)", got.State, got.Reason)
	}
}

func TestARunWithoutASlotWaits(t *testing.T) {
	r := newRig(t)
	m := r.rung(1)
	slots := lease.NewSlots(r.rdb, "slots:")
	for n := range limits.PerRepository {
		ok, err := slots.Take(t.Context(), fmt.Sprint(r.state(m.RunID).RepositoryID), fmt.Sprint("other", n), limits.PerRepository, time.Minute)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	s := r.service(func(context.Context, store.Run) runner.Result {
		t.Error("worked on a run without a slot")
		return runner.Result{State: run.Declined, Reason: "no_fixer"}
	})
	s.Handle(t.Context(), m)
	if got := r.state(m.RunID); got.State != "waiting" || got.Reason != run.WaitNoSlot {
		t.Errorf("%s(%s)", got.State, got.Reason)
	}
}
