package runner_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/runner"
)

// deaf is a store whose commits work and whose replies are lost, once each.
type deaf struct {
	*store.Store
	lost map[string]bool
}

var errReplyLost = errors.New("connection reset while waiting for COMMIT")

func (d *deaf) once(name string, err error) error {
	if err == nil && !d.lost[name] {
		d.lost[name] = true
		return errReplyLost
	}
	return err
}

func (d *deaf) ClaimRun(ctx context.Context, c store.Claim) (store.Run, string, error) {
	r, refused, err := d.Store.ClaimRun(ctx, c)
	return r, refused, d.once("claim", err)
}

func (d *deaf) SaveFix(ctx context.Context, id, fence int64, f store.Fix) error {
	return d.once("save", d.Store.SaveFix(ctx, id, fence, f))
}

func (d *deaf) EndRun(ctx context.Context, id, fence int64, e store.End) error {
	return d.once("end", d.Store.EndRun(ctx, id, fence, e))
}

func fixes(_ context.Context, r store.Run) runner.Result {
	diff := []byte("diff --git a/a b/a\n")
	return runner.Result{State: run.Fixed, Fix: store.Fix{
		BaseCommit: r.Failure.Commit, Diff: diff, Digest: patch.Digest(diff), Fixer: "gofmt", Title: "t", Explanation: "e", Fingerprint: "f",
	}}
}

// TestALostReplyOfACommitIsNotASecondExecution: the message comes again, and the row says what has happened.
func TestALostReplyOfACommitIsNotASecondExecution(t *testing.T) {
	for name, tc := range map[string]struct {
		lost  string
		do    pipeline
		state string
	}{
		"saving the fix":   {"save", fixes, "fixed"},
		"ending the run":   {"end", declines, "declined"},
		"claiming the run": {"claim", declines, "declined"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			m := r.rung(1)
			executed := 0
			s := r.service(func(ctx context.Context, got store.Run) runner.Result { executed++; return tc.do(ctx, got) })
			d := &deaf{Store: r.st, lost: map[string]bool{"save": true, "end": true, "claim": true}}
			d.lost[tc.lost] = false
			s.Store = d
			o := s.Handle(t.Context(), m)
			if o.Left() != (tc.lost == "claim") {
				t.Fatal(o)
			}
			if tc.lost == "claim" {
				// Nobody knows of the claim: its lease runs out, the attempt counts as crashed, and the run comes again.
				r.exec("update runs set lease_expires_at = now() - interval '1 second' where state = 'running'")
				if _, err := r.st.TakeBack(t.Context(), limits, 10); err != nil {
					t.Fatal(err)
				}
				r.exec("update runs set state = 'ready', attempt_started_at = attempt_started_at - interval '1 hour', attempt_ended_at = attempt_ended_at - interval '1 hour'")
				m.Fence = r.state(m.RunID).Fence
			}
			if o := s.Handle(t.Context(), m); o.String() != "done" {
				t.Fatal(o)
			}
			if got := r.state(m.RunID); executed != 1 || got.State != tc.state {
				t.Errorf("executed %d times, %s(%s)", executed, got.State, got.Reason)
			}
		})
	}
}

var errRefused = errors.New("dial: connection refused")

// away is a store that is away for the first few writes of a result; or there, and refuses them.
type away struct {
	*store.Store
	refuse int
	there  bool

	refused bool // the last write
}

func (a *away) Run(ctx context.Context, id int64) (store.Run, error) {
	if a.refused && !a.there {
		return store.Run{}, errRefused
	}
	return a.Store.Run(ctx, id)
}

func (a *away) SaveFix(ctx context.Context, id, fence int64, f store.Fix) error {
	if a.refuse--; a.refuse >= 0 {
		a.refused = true
		return errRefused
	}
	a.refused = false
	return a.Store.SaveFix(ctx, id, fence, f)
}

func TestAResultOutlivesAnOutageOfTheDatabase(t *testing.T) {
	r := newRig(t)
	m := r.rung(1)
	s := r.service(fixes)
	s.Store, s.TTL = &away{Store: r.st, refuse: 6}, 600*time.Millisecond // it is away for four times as long
	if o := s.Handle(t.Context(), m); o.String() != "done" {
		t.Fatal(o)
	}
	if got := r.state(m.RunID); got.State != "fixed" || got.AttemptCount != 1 {
		t.Errorf("%s(%s), %d attempts", got.State, got.Reason, got.AttemptCount)
	}
}

func TestAWriteThatTheDatabaseNeverTakesIsGivenUp(t *testing.T) {
	r := newRig(t)
	m := r.rung(1)
	s := r.service(fixes)
	s.Store, s.TTL = &away{Store: r.st, refuse: 1000, there: true}, 100*time.Millisecond
	if o := s.Handle(t.Context(), m); o.String() == "done" {
		t.Fatal(o)
	}
	if got := r.state(m.RunID); got.State != "running" {
		t.Errorf("%s(%s)", got.State, got.Reason)
	}
}
