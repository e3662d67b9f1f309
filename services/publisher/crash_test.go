package publisher_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

// TestAnyOneFaultStillMakesOnePullRequest: each outward step fails before its effect, or succeeds and the reply is
// lost, and the next try adopts what is there.
func TestAnyOneFaultStillMakesOnePullRequest(t *testing.T) {
	steps := map[string]func(*http.Request) bool{"listing": listing, "push": pushing, "creation": creating}
	faults := map[string]forgetest.Fault{
		"fails with 500":              {Status: 500, Body: `{"message":"oops"}`},
		"is dropped before it works":  {Drop: true},
		"works and its reply is lost": {Drop: true, AfterEffect: true},
	}
	for step, fits := range steps {
		for name, fault := range faults {
			t.Run(step+" "+name, func(t *testing.T) {
				r := newRig(t)
				hit := r.failOnce(fault, fits)
				got := r.publish(r.Service)
				if !hit() {
					t.Fatal("the fault never struck")
				}
				if n := len(r.prs()); got.State != "published" || n != 1 {
					t.Errorf("%s(%s) %s, %d pull requests", got.State, got.Reason, got.Explanation, n)
				}
			})
		}
	}
}

// TestACrashAnywhereStillMakesOnePullRequest: the publisher dies with its lease held at each request it makes; the
// lease runs out and another process, with nothing of the first one's on its disk, carries on.
func TestACrashAnywhereStillMakesOnePullRequest(t *testing.T) {
	for n := range 20 {
		for _, after := range []bool{false, true} {
			r := newRig(t)
			ctx, crash := context.WithCancelCause(t.Context())
			count := 0
			r.forge.SetFault(func(*http.Request) *forgetest.Fault {
				count++
				if count != n+1 {
					return nil
				}
				crash(errors.New("kill -9"))
				return &forgetest.Fault{Drop: true, AfterEffect: after}
			})
			dead := r.publisher()
			dead.Store = crashing{r.st, ctx}
			dead.Handle(ctx, r.bell(r.run.ID))
			r.forge.SetFault(nil)
			if ctx.Err() == nil {
				if n == 0 {
					t.Fatal("no request was made at all")
				}
				return // fewer requests than that
			}
			r.exec("update runs set lease_expires_at = now() - interval '1 second' where state = 'publishing'")
			if _, err := r.st.TakeBack(t.Context(), run.Limits{MaxAttempts: 3}, 10); err != nil {
				t.Fatal(err)
			}
			got := r.publish(r.publisher())
			if len(r.prs()) != 1 || got.State != "published" {
				t.Errorf("crash at request %d (effect %v): %s(%s) %s, %d pull requests", n+1, after, got.State, got.Reason, got.Explanation, len(r.prs()))
			}
		}
	}
}

// crashing is a store that a dead process can no longer write to.
type crashing struct {
	*store.Store
	ctx context.Context //nolint:containedctx // stands for the life of a process
}

func (c crashing) GiveBackPublication(ctx context.Context, id, fence int64, g store.GiveBack) error {
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	return c.Store.GiveBackPublication(ctx, id, fence, g)
}

func (c crashing) Refuse(ctx context.Context, id, fence int64, e store.End, closedPR string) error {
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	return c.Store.Refuse(ctx, id, fence, e, closedPR)
}

func (c crashing) Publish(ctx context.Context, id, fence int64, rec store.Receipt, e store.End) error {
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	return c.Store.Publish(ctx, id, fence, rec, e)
}
