package publisher_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/streams"
)

// TestADoorbellThatIsNotOursIsRefusedAndRecorded: what is refused is a dead letter, or counted as stale; nothing is pushed.
func TestADoorbellThatIsNotOursIsRefusedAndRecorded(t *testing.T) {
	for name, tt := range map[string]struct {
		forge func(*streams.Message)
		want  string
		stale int64
	}{
		"of another repository":      {func(m *streams.Message) { m.Subject = streams.FixSubject("github", "acme", "other") }, "dead(forged_doorbell)", 0},
		"of another forge":           {func(m *streams.Message) { m.Subject = streams.FixSubject("gitlab", "acme", "hello") }, "dead(forged_doorbell)", 0},
		"of a branch":                {func(m *streams.Message) { m.Subject = "fixes.ready.github.acme.hello.main" }, "dead(forged_doorbell)", 0},
		"with a fence to come":       {func(m *streams.Message) { m.Fence++ }, "dead(forged_doorbell)", 0},
		"with a fence of before":     {func(m *streams.Message) { m.Fence-- }, "done", 1},
		"of a run that is not there": {func(m *streams.Message) { m.RunID = 999 }, "dead(unknown_run)", 0},
		"of another kind":            {func(m *streams.Message) { m.Type = streams.TypeRun }, "dead(unexpected_type)", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			m := r.bell(r.run.ID)
			tt.forge(m)
			before := len(r.forge.Requests())
			o := r.Handle(t.Context(), m)
			if got := r.state(r.run.ID); !strings.HasPrefix(o.String(), tt.want) || got.State != "fixed" || len(r.forge.Requests()) != before {
				t.Errorf("%s, the run is %s(%s), %d requests", o, got.State, got.Reason, len(r.forge.Requests())-before)
			}
			if n := r.tel.Count("sre_agent_pipeline_runs_skipped_total", "stale"); n != tt.stale {
				t.Errorf("counted as stale %d times", n)
			}
		})
	}
}

// The tests here each miss one guard of the publisher: make mutants removes it and wants them red.

// sameTrouble makes a second fixed run of the first one's fingerprint, as another workflow's failure would.
func (r *rig) sameTrouble() store.Run {
	r.t.Helper()
	ctx := r.t.Context()
	f := r.run.Failure
	f.Workflow, f.WorkflowName = ".github/workflows/lint.yml", "Lint"
	d := store.Delivery{Provider: "github", ID: "d2", Event: "workflow_run", BodySHA256: strings.Repeat("b", 64), ReceivedAt: time.Now()}
	rec, err := r.st.RecordFailure(ctx, d, f, store.Start{Reason: run.WaitNew}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	r.exec("update runs set state = 'ready', rung_at = now() where state = 'waiting'")
	limits := run.Limits{MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: time.Second, Cooldown: time.Second, PerRepository: 2}
	claimed, refused, err := r.st.ClaimRun(ctx, store.Claim{RunID: rec.RunID, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil || refused != "" {
		r.t.Fatal(refused, err)
	}
	first, err := r.st.Fix(ctx, r.run.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	err = r.st.SaveFix(ctx, claimed.ID, claimed.Fence, store.Fix{
		BaseCommit: first.BaseCommit, Diff: first.Diff, Digest: first.Digest, Fixer: first.Fixer, Title: first.Title,
		Explanation: "x", Fingerprint: *r.run.Fingerprint, Evidence: first.Evidence,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.state(claimed.ID)
}

func TestAClosedPullRequestIsANoToTheSameTroubleElsewhere(t *testing.T) {
	r := newRig(t)
	r.publish(r.Service)
	if err := r.forge.ClosePullRequest("acme", "hello", r.prs()[0].Number); err != nil {
		t.Fatal(err)
	}
	r.run = r.sameTrouble()
	got := r.publish(r.Service)
	if got.State != "blocked" || got.Reason != "pull_request_closed" || len(r.prs()) != 1 {
		t.Errorf("the second run: %s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
	if refused, err := r.st.Refused(t.Context(), *got.Fingerprint); err != nil || refused != r.prs()[0].URL {
		t.Errorf("the refusal is not remembered: %q, %v", refused, err)
	}
}

func TestTheSameTroubleFollowsThePullRequestThatIsOpen(t *testing.T) {
	r := newRig(t)
	r.publish(r.Service)
	r.run = r.sameTrouble()
	got := r.publish(r.Service)
	if got.State != "superseded" || got.Reason != "pull_request_open" || len(r.prs()) != 1 {
		t.Errorf("the second run: %s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

// unwilling is a store that can't write the intent.
type unwilling struct{ *store.Store }

func (unwilling) Intend(context.Context, int64, int64, store.Intent) (db.Publication, error) {
	return db.Publication{}, errors.New("disk full")
}

func TestNothingIsPushedBeforeTheIntentIsWritten(t *testing.T) {
	r := newRig(t)
	before := len(r.forge.Requests())
	s := r.publisher()
	s.Store = unwilling{r.st}
	s.Handle(t.Context(), r.bell(r.run.ID))
	if all := r.forge.Requests(); len(all) != before {
		t.Errorf("the forge was changed without an intent: %+v", all[before:])
	}
	if got := r.publish(r.Service); got.State != "published" || len(r.prs()) != 1 {
		t.Errorf("afterwards: %s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

const workflowDiff = `diff --git a/.github/workflows/evil.yml b/.github/workflows/evil.yml
new file mode 100644
--- /dev/null
+++ b/.github/workflows/evil.yml
@@ -0,0 +1 @@
+on: push
`

// A diff that the runner should never have let through would apply and be published, were it not for the review.
func TestThePublishersOwnReviewStopsADiffThatApplies(t *testing.T) {
	r := newRig(t)
	if _, err := r.st.Pool().Exec(t.Context(), "update fixes set diff = $1, digest = $2", []byte(workflowDiff), patch.Digest([]byte(workflowDiff))); err != nil {
		t.Fatal(err)
	}
	if got := r.publish(r.Service); got.State != "blocked" || got.Reason != "forbidden_path" || len(r.prs()) != 0 {
		t.Errorf("a workflow was published: %s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

// The schema refuses a digest of other bytes; the publisher does not rely on it.
func TestADiffThatIsNotTheVerifiedOneIsNotPublished(t *testing.T) {
	r := newRig(t)
	r.exec("alter table fixes drop constraint fixes_check")
	other := strings.Replace(diff, "+Hello World!", "+Hello Mallory", 1)
	if _, err := r.st.Pool().Exec(t.Context(), "update fixes set diff = $1", []byte(other)); err != nil {
		t.Fatal(err)
	}
	if got := r.publish(r.Service); got.State != "blocked" || got.Reason != "digest_mismatch" || len(r.prs()) != 0 {
		t.Errorf("other bytes were published: %s(%s), %d pull requests", got.State, got.Reason, len(r.prs()))
	}
}

func TestAPullRequestWithoutOurIntentIsNotAdopted(t *testing.T) {
	r := newRig(t)
	r.write("mine.txt", "a person's work\n")
	r.push(r.branch(), "foreign")
	_, err := r.hub.CreatePullRequest(t.Context(), "acme", "hello", forge.NewPullRequest{
		Title: "mine", Head: r.branch(), Base: "main", Body: "mine",
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Handle(t.Context(), r.bell(r.run.ID))
	if got := r.state(r.run.ID); got.State != "blocked" || got.Reason != "branch_taken" {
		t.Errorf("somebody else's pull request was taken: %s(%s)", got.State, got.Reason)
	}
}

// blind is a forge whose list of pull requests lags behind once.
type blind struct {
	publisher.Forge
	seen *bool
}

func (b blind) FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	if !*b.seen {
		*b.seen = true
		return nil, nil
	}
	return b.Forge.FindPullRequests(ctx, owner, name, branch)
}

func TestAPullRequestThatAppearsMeanwhileIsAdopted(t *testing.T) {
	r := newRig(t)
	r.failOnce(forgetest.Fault{Drop: true, AfterEffect: true}, creating)
	r.Handle(t.Context(), r.bell(r.run.ID))
	r.exec("update runs set not_before = now() where state = 'fixed'")
	s := r.publisher()
	s.Target = r.at(blind{r.hub, new(bool)})
	s.Handle(t.Context(), r.bell(r.run.ID))
	if got := r.state(r.run.ID); got.State != "published" || len(r.prs()) != 1 {
		t.Errorf("the forge's word was not taken: %s(%s) %s, %d pull requests", got.State, got.Reason, got.Explanation, len(r.prs()))
	}
}

// doubled is a forge that shows each pull request twice, under two numbers.
type doubled struct{ publisher.Forge }

func (d doubled) FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	prs, err := d.Forge.FindPullRequests(ctx, owner, name, branch)
	for _, pr := range prs {
		pr.Number, pr.URL = pr.Number+1000, pr.URL+"000"
		prs = append(prs, pr)
	}
	return prs, err
}

func TestTwoOpenPullRequestsOfOneRunAreToldOf(t *testing.T) {
	r := newRig(t)
	r.failOnce(forgetest.Fault{Drop: true, AfterEffect: true}, creating)
	r.Handle(t.Context(), r.bell(r.run.ID))
	r.exec("update runs set not_before = now() where state = 'fixed'")
	if n := r.tel.Count(telemetry.PromisesBroken, ""); n != 0 {
		t.Errorf("%d broken promises before", n)
	}
	s := r.publisher()
	s.Target = r.at(doubled{r.hub})
	s.Handle(t.Context(), r.bell(r.run.ID))
	if n := r.tel.Count(telemetry.PromisesBroken, string(telemetry.OnePullRequest)); n != 1 || !strings.Contains(r.tel.Logs(), "several open pull requests") {
		t.Errorf("it was told of %d times", n)
	}
}
