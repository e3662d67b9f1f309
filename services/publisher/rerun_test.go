package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/services/publisher"
)

const ciRun = 77

// wisher is a rig whose second run ended as infrastructure and wants one more run of what the forge knows as ciRun.
type wisher struct {
	*rig
	wish int64
}

func newWisher(t *testing.T, change func(*ci.Failure)) *wisher {
	t.Helper()
	r := newRig(t)
	commit := strings.Repeat("a", 40)
	f := ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: fmt.Sprint(r.repoID), Owner: "acme", Name: "hello"}, HeadRepository: "acme/hello",
		Branch: "main", BaseBranch: "main", Commit: commit, Workflow: "ci.yml", WorkflowName: "CI", RunID: fmt.Sprint(ciRun), RunAttempt: 1, Conclusion: "failure",
	}
	if change != nil {
		change(&f)
	}
	if err := r.forge.AddRun("acme", "hello", forgetest.Run{ID: ciRun, Workflow: "ci.yml", Branch: "main", Conclusion: "failure", Commit: commit}); err != nil {
		t.Fatal(err)
	}
	rec, err := r.st.RecordFailure(t.Context(), store.Delivery{Provider: "github", ID: "w", Event: "workflow_run", BodySHA256: strings.Repeat("f", 64), ReceivedAt: time.Now()}, f, store.Start{Reason: run.WaitNew}, "")
	if err != nil {
		t.Fatal(err)
	}
	w := &wisher{rig: r, wish: rec.RunID}
	w.decline()
	return w
}

// decline ends the run as the runner would.
func (w *wisher) decline() {
	w.t.Helper()
	if _, err := w.st.RingDue(w.t.Context(), 2, 10); err != nil {
		w.t.Fatal(err)
	}
	r := w.state(w.wish)
	claimed, refused, err := w.st.ClaimRun(w.t.Context(), store.Claim{
		RunID: r.ID, Fence: r.Fence, Holder: "h", TTL: time.Minute, Limits: run.Limits{MaxAttempts: 3, PerRepository: 2},
	})
	if err != nil || refused != "" {
		w.t.Fatal(err, refused)
	}
	if err := w.st.EndRun(w.t.Context(), claimed.ID, claimed.Fence, store.End{State: run.Declined, Reason: "infrastructure", Rerun: true}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wisher) reruns() *publisher.Reruns {
	return &publisher.Reruns{
		Store: w.st, Providers: map[string]publisher.Rerunner{"github": github.New(w.forge.APIURL(), token, nil)},
		Events: silent{}, Log: w.tel.Log, Redact: redact.New([]string{token}).String,
	}
}

func (w *wisher) row() db.Rerun {
	w.t.Helper()
	r, err := w.st.Rerun(w.t.Context(), w.wish)
	if err != nil || r == nil {
		w.t.Fatalf("no wish: %v", err)
	}
	return *r
}

// due makes every wish due now, and every lease over.
func (w *wisher) due() {
	w.exec("update reruns set not_before = now(), lease_expires_at = null")
}

// look has a publisher look until the wish is settled, at most n times.
func (w *wisher) look(s *publisher.Reruns, n int) db.Rerun {
	w.t.Helper()
	for range n {
		if got := w.row(); got.State == store.RerunAsked || got.State == store.RerunRefused {
			break
		}
		if err := s.RunOnce(w.t.Context()); err != nil && !errors.Is(err, errReplyLost) {
			w.t.Fatal(err)
		}
		w.due()
	}
	return w.row()
}

// asked counts the questions that had an effect or may have had one.
func (w *wisher) asked() (n int) {
	for _, req := range w.forge.Requests() {
		if strings.HasSuffix(req.Path, "/rerun-failed-jobs") && req.Status == http.StatusCreated {
			n++
		}
	}
	return n
}

func asking(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/rerun-failed-jobs") }

func TestAFailureThatIsNotTheCodesIsRunAgainOnceForEver(t *testing.T) {
	w := newWisher(t, nil)
	if got := w.look(w.reruns(), 1); got.State != store.RerunAsked || got.Asks != 1 || *got.Attempt != 1 || w.asked() != 1 {
		t.Fatalf("%+v, asked %d times", got, w.asked())
	}
	// It fails once more, and a person has the run tried again, which ends the same way.
	if err := w.forge.FinishRun("acme", "hello", ciRun, "failure"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.st.RetryRun(t.Context(), w.wish, store.Actor{Who: "me", Why: "again"}); err != nil {
		t.Fatal(err)
	}
	w.decline()
	for range 3 {
		w.due()
		if err := w.reruns().RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.row(); got.State != store.RerunAsked || w.asked() != 1 {
		t.Errorf("%+v, asked %d times", got, w.asked())
	}
}

var errReplyLost = errors.New("connection reset while waiting for COMMIT")

// dying is a store whose process dies, or whose reply is lost, at one write.
type dying struct {
	*store.Store
	at   string
	does bool // the write took effect
	done bool
}

func (d *dying) die(at string, write func() error) error {
	if d.at != at || d.done {
		return write()
	}
	d.done = true
	if d.does {
		if err := write(); err != nil {
			return err
		}
	}
	return errReplyLost
}

func (d *dying) IntendRerun(ctx context.Context, r db.Rerun, attempt int) error {
	return d.die("intend", func() error { return d.Store.IntendRerun(ctx, r, attempt) })
}

func (d *dying) EndRerun(ctx context.Context, r db.Rerun, state, reason string) error {
	return d.die("end", func() error { return d.Store.EndRerun(ctx, r, state, reason) })
}

func TestWhoeverDiesNobodyAsksTwice(t *testing.T) {
	for name, tc := range map[string]struct {
		at    string
		does  bool
		fault *forgetest.Fault
	}{
		"before the intent":                       {"intend", false, nil},
		"after the intent, before the question":   {"intend", true, nil},
		"after the question, before the record":   {"end", false, nil},
		"the record's reply is lost":              {"end", true, nil},
		"the question's reply is lost":            {"", false, &forgetest.Fault{AfterEffect: true, Drop: true}},
		"the question never arrives":              {"", false, &forgetest.Fault{Drop: true}},
		"the provider fails, and did it":          {"", false, &forgetest.Fault{AfterEffect: true, Status: 502}},
		"the provider fails, and did nothing":     {"", false, &forgetest.Fault{Status: 503}},
		"the provider says that we ask too often": {"", false, &forgetest.Fault{Status: 429, Header: http.Header{"Retry-After": {"1"}}, Body: `{}`}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWisher(t, nil)
			s := w.reruns()
			s.Store = &dying{Store: w.st, at: tc.at, does: tc.does}
			if tc.fault != nil {
				w.failOnce(*tc.fault, asking)
			}
			var got db.Rerun
			for range 4 {
				got = w.look(s, 1)
				_ = w.forge.FinishRun("acme", "hello", ciRun, "failure") // at once, so that a second question would be taken
			}
			run, err := github.New(w.forge.APIURL(), token, nil).CIRun(t.Context(), "acme", "hello", fmt.Sprint(ciRun))
			if err != nil || got.State != store.RerunAsked || run.Attempt != 2 {
				t.Errorf("%+v, the provider's run %+v, %v", got, run, err)
			}
		})
	}
}

func TestWhatAProviderIsNotAskedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*ci.Failure)
		before func(w *wisher)
		want   string
	}{
		"another provider":              {func(f *ci.Failure) { f.Provider = "jenkins" }, nil, publisher.RerunNoProvider},
		"a number of another thing":     {func(f *ci.Failure) { f.Commit = strings.Repeat("b", 40) }, nil, publisher.RerunOtherCommit},
		"a number that nobody knows":    {func(f *ci.Failure) { f.RunID = "78" }, nil, "not_found"},
		"a number that leads elsewhere": {func(f *ci.Failure) { f.RunID = ".." }, nil, "invalid_name"},
		"somebody had it run again":     {nil, func(w *wisher) { w.again("failure") }, publisher.RerunAlready},
		"somebody's run goes on":        {nil, func(w *wisher) { w.again("") }, publisher.RerunAlready},
		"the token may not": {nil, func(w *wisher) {
			w.failOnce(forgetest.Fault{Status: 403, Body: `{"message":"Resource not accessible by personal access token"}`}, asking)
		}, "forbidden"},
		"a provider that does nothing":   {nil, func(w *wisher) { w.forge.SetFault(nothingDone) }, publisher.RerunNoEffect},
		"it could not be asked for long": {nil, func(w *wisher) { w.exec("update reruns set looks = 150"); w.forge.SetFault(away) }, publisher.RerunGaveUp},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWisher(t, tc.change)
			if tc.before != nil {
				tc.before(w)
			}
			before := w.asked()
			if got := w.look(w.reruns(), 6); got.State != store.RerunRefused || got.Reason != tc.want {
				t.Errorf("%+v, want refused(%s)", got, tc.want)
			}
			if tc.want != publisher.RerunNoEffect && w.asked() != before {
				t.Error("it was asked all the same")
			}
		})
	}
}

// again is a person who has the run run again, to this end.
func (w *wisher) again(conclusion string) {
	w.t.Helper()
	if err := github.New(w.forge.APIURL(), token, nil).RerunFailed(w.t.Context(), "acme", "hello", fmt.Sprint(ciRun)); err != nil {
		w.t.Fatal(err)
	}
	if conclusion == "" {
		return
	}
	if err := w.forge.FinishRun("acme", "hello", ciRun, conclusion); err != nil {
		w.t.Fatal(err)
	}
}

func nothingDone(r *http.Request) *forgetest.Fault {
	if asking(r) {
		return &forgetest.Fault{Status: http.StatusBadGateway}
	}
	return nil
}

func away(*http.Request) *forgetest.Fault {
	return &forgetest.Fault{Status: http.StatusServiceUnavailable}
}

func TestAFailedRunThatStillGoesOnIsWaitedFor(t *testing.T) {
	w := newWisher(t, nil)
	w.exec("update runs set failure = jsonb_set(failure, '{run_attempt}', '2')") // a job of the second attempt failed
	w.again("")
	if got := w.look(w.reruns(), 2); got.State != store.RerunWanted || got.Reason != publisher.RerunStillRunning {
		t.Fatalf("%+v", got)
	}
	if err := w.forge.FinishRun("acme", "hello", ciRun, "failure"); err != nil {
		t.Fatal(err)
	}
	if got := w.look(w.reruns(), 1); got.State != store.RerunAsked || *got.Attempt != 2 || w.asked() != 2 {
		t.Errorf("%+v, asked %d times", got, w.asked())
	}
}

func TestManyPublishersAskOnce(t *testing.T) {
	w := newWisher(t, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := w.reruns().RunOnce(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := w.row(); got.State != store.RerunAsked || w.asked() != 1 {
		t.Errorf("%+v, asked %d times", got, w.asked())
	}
}

func TestAPublisherThatLostItsLeaseDoesNotAsk(t *testing.T) {
	w := newWisher(t, nil)
	s := w.reruns()
	s.Providers["github"] = slow{s.Providers["github"], func() { w.due(); w.look(w.reruns(), 1) }}
	if err := s.RunOnce(t.Context()); err != nil || w.asked() != 1 || w.row().Fence != 2 {
		t.Errorf("%v, asked %d times, %+v", err, w.asked(), w.row())
	}
}

// slow is a provider that answers only after something else has happened.
type slow struct {
	publisher.Rerunner
	meanwhile func()
}

func (s slow) CIRun(ctx context.Context, owner, name, id string) (forge.CIRun, error) {
	got, err := s.Rerunner.CIRun(ctx, owner, name, id)
	s.meanwhile()
	return got, err
}
