package publisher_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/publisher"
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

// TestTheWatcherDiesAtEachOfItsWrites on GitHub: at a comment, a label, an edit and a closing, before and after the effect.
func TestTheWatcherDiesAtEachOfItsWrites(t *testing.T) {
	w := newWatched(t)
	w.do(w.forge.Report("acme", "hello", forgetest.Check{Commit: w.prs()[0].HeadSHA, Name: "test", Outcome: "failure"}))
	if dead := w.dying(w.forge.SetFault, w.watching); dead["comment"] != 2 || dead["change"] != 2 {
		t.Errorf("deaths at red checks: %v", dead)
	}
	w.wantOurs("are red")
	w.do(w.forge.CommentAs("ada", "acme", "hello", 1, "/sre-agent stop"))
	if dead := w.dying(w.forge.SetFault, w.watching); dead["comment"] != 0 || dead["edit"] != 2 || dead["change"] != 2 {
		t.Errorf("deaths at a stop: %v", dead)
	}
	w.wantOurs("`stop` of `ada`")
	if w.prs()[0].State != "closed" || !w.refused() || len(w.row().Commands) != 1 {
		t.Errorf("%s: %+v", w.prs()[0].State, w.row())
	}
}

// dying has everything looked at by processes that die at every write, twice each. It says how many died at what.
func (w *watched) dying(setFault func(func(*http.Request) *forgetest.Fault), another func() *publisher.Watcher) map[string]int {
	w.t.Helper()
	deaths := map[string]int{}
	for range 20 {
		ctx, crash := context.WithCancel(w.t.Context())
		setFault(func(r *http.Request) *forgetest.Fault {
			what := written(r)
			if what == "" || deaths[what] == 2 {
				return nil
			}
			deaths[what]++
			crash()
			return &forgetest.Fault{Drop: true, AfterEffect: deaths[what] == 2}
		})
		w.exec("update watches set due = now(), lease_expires_at = now() - interval '1 second' where holder is not null")
		w.exec("update watches set due = now() where holder is null")
		_, err := another().RunOnce(ctx)
		setFault(nil)
		w.do(err)
		died := ctx.Err() != nil
		crash()
		if !died {
			w.lookWith(another())
			return deaths
		}
	}
	w.t.Fatal("it dies without an end")
	return nil
}

// written says what a request to any of the forges writes; a change is a label or the closing.
func written(r *http.Request) string {
	path := r.URL.Path
	comment := strings.Contains(path, "/comments") || strings.Contains(path, "/notes") || strings.Contains(path, "/threads")
	switch {
	case r.Method == http.MethodGet || strings.Contains(path, ".git/"):
		return ""
	case comment && r.Method == http.MethodPost:
		return "comment"
	case comment:
		return "edit"
	}
	return "change"
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
