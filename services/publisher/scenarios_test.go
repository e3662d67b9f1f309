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
	"github.com/sre-agent/sre-agent/streams"
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
	if o := first.Handle(t.Context(), &streams.Message{Type: streams.TypeFix, RunID: r.run.ID}); o.String() != "done" {
		t.Error(o)
	}
	if got := r.state(r.run.ID); got.State != "published" || len(r.prs()) != 1 {
		t.Errorf("%s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

// TestEveryAnswerOfTheForgeHasItsNamedEnding: what the forge may say when the pull request is created.
func TestEveryAnswerOfTheForgeHasItsNamedEnding(t *testing.T) {
	transient := "" // tried again, and then published
	for name, tc := range map[string]struct {
		fault  forgetest.Fault
		state  string
		reason string
	}{
		"401":                                  {forgetest.Fault{Status: 401, Body: `{"message":"Bad credentials"}`}, "blocked", "unauthorized"},
		"403 without a sign of a rate limit":   {forgetest.Fault{Status: 403, Body: `{"message":"Resource not accessible by personal access token"}`}, "blocked", "forbidden"},
		"403 archived":                         {forgetest.Fault{Status: 403, Body: `{"message":"Repository was archived so is read-only."}`}, "blocked", "repository_archived"},
		"403 secondary limit with Retry-After": {forgetest.Fault{Status: 403, Header: http.Header{"Retry-After": {"1"}}, Body: `{"message":"You have exceeded a secondary rate limit"}`}, "published", transient},
		"403 secondary limit without it":       {forgetest.Fault{Status: 403, Body: `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`}, "published", transient},
		"404":                                  {forgetest.Fault{Status: 404, Body: `{"message":"Not Found"}`}, "blocked", "repository_not_found"},
		"422 no commits between":               {forgetest.Fault{Status: 422, Body: `{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"No commits between main and sre-agent/x"}]}`}, "blocked", "no_commits_between"},
		"422 base is gone":                     {forgetest.Fault{Status: 422, Body: `{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"base","code":"invalid"}]}`}, "blocked", "base_branch_missing"},
		"429":                                  {forgetest.Fault{Status: 429, Header: http.Header{"Retry-After": {"1"}}, Body: `{}`}, "published", transient},
		"500":                                  {forgetest.Fault{Status: 500}, "published", transient},
		"503":                                  {forgetest.Fault{Status: 503}, "published", transient},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			hit := r.failOnce(tc.fault, creating)
			got := r.publish(r.Service)
			want := 0
			if tc.state == "published" {
				want = 1
			}
			if !hit() || got.State != tc.state || got.Reason != tc.reason || len(r.prs()) != want {
				t.Errorf("%s(%s) %s, %d pull requests; want %s(%s)", got.State, got.Reason, got.Explanation, len(r.prs()), tc.state, tc.reason)
			}
			if got.Explanation == "" {
				t.Error("no explanation")
			}
		})
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
		r.Handle(t.Context(), &streams.Message{Type: streams.TypeFix, RunID: r.run.ID})
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
