package throttle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// TestARunThatWasAskedForMakesNoLoop: what the provider tells of the attempt that we asked for is about the same run,
// which has ended, and has had its one wish.
func TestARunThatWasAskedForMakesNoLoop(t *testing.T) {
	r := newRig(t, 30)
	sha := fmt.Sprintf("%040x", 1)
	attempt := func(n int) githubtest.Params {
		return githubtest.Params{RepositoryID: 5, Owner: "acme", Name: "shop", SHA: sha, RunID: 7, Attempt: n, NoForks: true}
	}
	if o := r.Handle(t.Context(), message("first", "workflow_run", githubtest.FailedRun(attempt(1)))); o.String() != "done" {
		t.Fatal(o)
	}
	if _, err := r.st.RingDue(t.Context(), 2, 10); err != nil {
		t.Fatal(err)
	}
	runs, err := r.st.Runs(t.Context(), "", 10)
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	claimed, refused, err := r.st.ClaimRun(t.Context(), store.Claim{RunID: runs[0].ID, Fence: runs[0].Fence, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil || refused != "" {
		t.Fatal(err, refused)
	}
	if err := r.st.EndRun(t.Context(), claimed.ID, claimed.Fence, store.End{State: run.Declined, Reason: "flaky", Rerun: true}); err != nil {
		t.Fatal(err)
	}
	for i, body := range [][]byte{githubtest.Job(attempt(2)), githubtest.FailedRun(attempt(2)), githubtest.FailedRun(attempt(3))} {
		event := "workflow_run"
		if i == 0 {
			event = "workflow_job"
		}
		id := fmt.Sprint("again", i)
		if o := r.Handle(t.Context(), message(id, event, body)); o.String() != "done" {
			t.Fatal(o)
		}
		var outcome string
		if err := r.st.Pool().QueryRow(t.Context(), "select outcome from deliveries where delivery_id = $1", id).Scan(&outcome); err != nil || outcome != store.OutcomeCoalesced {
			t.Errorf("%s was recorded as %s, %v", id, outcome, err)
		}
	}
	runs, err = r.st.Runs(t.Context(), "", 10)
	if err != nil || len(runs) != 1 || runs[0].State != string(run.Declined) || runs[0].Reason != "flaky" || runs[0].Fence != claimed.Fence {
		t.Errorf("%+v, %v", runs, err)
	}
	if wish, err := r.st.Rerun(t.Context(), claimed.ID); err != nil || wish == nil || wish.Why != "flaky" || wish.State != store.RerunWanted {
		t.Errorf("%+v, %v", wish, err)
	}
	if due, err := r.st.RingDue(t.Context(), 2, 10); err != nil || len(due) != 0 {
		t.Errorf("%d runs are due, %v", len(due), err)
	}
}
