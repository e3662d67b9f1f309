package publisher_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// paused is git of a publisher that is stopped for longer than its lease right before it pushes.
type paused struct {
	publisher.Git
	meanwhile func()
}

func (p *paused) PushNew(ctx context.Context, at origin.Place, commit, branch string) error {
	if p.meanwhile != nil {
		p.meanwhile()
		p.meanwhile = nil
	}
	// A process that was stopped does not notice that its context has ended: it goes on with what it was about to do.
	return p.Git.PushNew(context.WithoutCancel(ctx), at, commit, branch)
}

// TestAPublisherStoppedBetweenItsFenceAndItsPush: another one publishes meanwhile; the first one wakes up, pushes
// the very same commit, finds the pull request, and may write nothing.
func TestAPublisherStoppedBetweenItsFenceAndItsPush(t *testing.T) {
	r := newRig(t)
	first := r.publisher()
	first.Git = &paused{Git: first.Git, meanwhile: func() {
		r.exec("update runs set lease_expires_at = now() - interval '1 second' where state = 'publishing'")
		if _, err := r.st.TakeBack(t.Context(), run.Limits{MaxAttempts: 3}, 10); err != nil {
			t.Error(err)
		}
		if got := r.publish(r.publisher()); got.State != "published" {
			t.Errorf("the second publisher: %s(%s) %s", got.State, got.Reason, got.Explanation)
		}
	}}
	if o := first.Handle(t.Context(), r.bell(r.run.ID)); o.String() != "done" {
		t.Error(o)
	}
	if got := r.state(r.run.ID); got.State != "published" || len(r.prs()) != 1 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

func TestABranchThatIsGoneEndsTheRun(t *testing.T) {
	r := newRig(t)
	r.git("push", "-q", r.url(), "HEAD:refs/heads/other")
	r.exec(`update runs set failure = jsonb_set(failure, '{branch}', '"gone"')`)
	if got := r.publish(r.Service); got.State != "superseded" || got.Reason != "branch_deleted" || len(r.prs()) != 0 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

// TestAForgeThatFailsForAnHourIsWaitedFor: each try waits longer, up to ten minutes, and none is the last.
func TestAForgeThatFailsForAnHourIsWaitedFor(t *testing.T) {
	r := newRig(t)
	r.forge.SetFault(func(*http.Request) *forgetest.Fault { return &forgetest.Fault{Status: 500} })
	waited, tries := time.Duration(0), 0
	for waited < time.Hour {
		r.Handle(t.Context(), r.bell(r.run.ID))
		got := r.state(r.run.ID)
		if got.State != "fixed" {
			t.Fatalf("after %v: %s(%s)", waited, got.State, got.Reason)
		}
		waited += got.NotBefore.Sub(got.UpdatedAt)
		tries++
		r.exec("update runs set not_before = now()")
	}
	if tries > 20 {
		t.Errorf("%d tries in an hour", tries)
	}
	r.forge.SetFault(nil)
	if got := r.publish(r.Service); got.State != "published" || len(r.prs()) != 1 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}
