package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

// The events of one pipeline: that of the workflow knows its path, its name and the run; that of a job the name and
// the run; that of a check only the run.
func workflowEvent(commit, id int) ci.Failure {
	f := failure(1, commit)
	f.Claims, f.SameAs = []string{fmt.Sprint("run:", id), "wname:CI"}, []string{fmt.Sprint("run:", id), "jname:CI"}
	return f
}

func jobEvent(commit, id int) ci.Failure {
	f := failure(1, commit)
	f.Workflow, f.Claims, f.SameAs = "CI", []string{fmt.Sprint("run:", id), "jname:CI"}, []string{fmt.Sprint("run:", id), "wname:CI"}
	return f
}

func checkEvent(commit, id int) ci.Failure {
	f := failure(1, commit)
	f.Workflow, f.Claims = fmt.Sprint("actions-run:", id), []string{fmt.Sprint("run:", id)}
	f.SameAs = f.Claims
	return f
}

func TestAllEventsOfAPipelineMakeOneRunWhateverTheirOrder(t *testing.T) {
	s := open(t)
	record(t, s, "warm", failure(1, 99)) // so that the usual case takes the short way too
	events := []func(int, int) ci.Failure{workflowEvent, jobEvent, checkEvent}
	for n, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		outcomes := map[string]int{}
		for i, e := range order {
			outcomes[record(t, s, fmt.Sprint("order", n, i), events[e](n, 7)).Outcome]++
		}
		if outcomes[store.OutcomeRun] != 1 || outcomes[store.OutcomeCoalesced] != 2 {
			t.Errorf("order %v: %v", order, outcomes)
		}
	}
}

func TestTwoRunsOfOneWorkflowAreOneToo(t *testing.T) {
	s := open(t)
	// A push and its pull request start the same workflow twice on one commit.
	first := record(t, s, "job of the push", jobEvent(1, 7))
	for name, f := range map[string]ci.Failure{"workflow of the pull request": workflowEvent(1, 8), "job of the pull request": jobEvent(1, 8)} {
		if rec := record(t, s, name, f); rec.Outcome != store.OutcomeCoalesced || rec.RunID != first.RunID {
			t.Errorf("%s: %+v", name, rec)
		}
	}
}

func TestTwoWorkflowsOfOneNameAreTwoRuns(t *testing.T) {
	s := open(t)
	a, b := workflowEvent(1, 7), workflowEvent(1, 8)
	b.Workflow = ".github/workflows/other.yml"
	if x, y := record(t, s, "a", a), record(t, s, "b", b); x.Outcome != store.OutcomeRun || y.Outcome != store.OutcomeRun {
		t.Errorf("%+v, %+v", x, y)
	}
}

func TestAllEventsOfAPipelineAtOnceMakeOneRun(t *testing.T) {
	s := open(t)
	record(t, s, "warm", failure(1, 99))
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			f := []func(int, int) ci.Failure{workflowEvent, jobEvent, checkEvent}[i%3](1, 7)
			if _, err := s.RecordFailure(t.Context(), delivery(fmt.Sprint("d", i)), f, store.Start{Reason: run.WaitNew}, ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	counts, err := s.DeliveryCounts(t.Context())
	if err != nil || counts[store.OutcomeRun] != 2 || counts[store.OutcomeCoalesced] != 23 {
		t.Errorf("records: %v, %v", counts, err)
	}
}

func endedAt(f ci.Failure, minute int) ci.Failure {
	f.FinishedAt = time.Date(2026, 11, 3, 10, minute, 0, 0, time.UTC)
	return f
}

func success(t *testing.T, s *store.Store, id string, f ci.Failure) store.Record {
	t.Helper()
	rec, err := s.RecordSuccess(t.Context(), delivery(id), f)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func stateOf(t *testing.T, s *store.Store, id int64) string {
	t.Helper()
	r, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r.State + "(" + r.Reason + ")"
}

func TestALaterSuccessEndsWhatHasNotBeenStarted(t *testing.T) {
	s := open(t)
	byJob := record(t, s, "red", endedAt(jobEvent(1, 7), 1))
	if rec := success(t, s, "early", endedAt(workflowEvent(1, 7), 0)); len(rec.Superseded) != 0 || stateOf(t, s, byJob.RunID) != "waiting(new)" {
		t.Errorf("a success before the failure ended it: %+v", rec)
	}
	rec := success(t, s, "green", endedAt(workflowEvent(1, 7), 2))
	if rec.Outcome != store.OutcomeIgnored || rec.Reason != "success" || len(rec.Superseded) != 1 || stateOf(t, s, byJob.RunID) != "superseded(green)" {
		t.Errorf("%+v %s", rec, stateOf(t, s, byJob.RunID))
	}
	if again := success(t, s, "green", endedAt(workflowEvent(1, 7), 2)); !again.Known || len(again.Superseded) != 0 {
		t.Errorf("the same delivery again: %+v", again)
	}
	other := record(t, s, "other commit", endedAt(workflowEvent(2, 9), 1))
	if state := stateOf(t, s, other.RunID); state != "waiting(new)" {
		t.Errorf("another commit's run is %s", state)
	}
}

func TestAFailureThatComesAfterItsLaterSuccessIsOverAtOnce(t *testing.T) {
	s := open(t)
	record(t, s, "warm", failure(1, 99))
	success(t, s, "green", endedAt(workflowEvent(1, 7), 2))
	rec := record(t, s, "red", endedAt(jobEvent(1, 7), 1))
	if rec.Outcome != store.OutcomeRun || len(rec.Superseded) != 1 || stateOf(t, s, rec.RunID) != "superseded(green)" {
		t.Errorf("%+v %s", rec, stateOf(t, s, rec.RunID))
	}
	success(t, s, "green 2", endedAt(workflowEvent(2, 8), 2))
	if rec := record(t, s, "red again", endedAt(workflowEvent(2, 8), 3)); stateOf(t, s, rec.RunID) != "waiting(new)" {
		t.Errorf("a failure after the success: %s", stateOf(t, s, rec.RunID))
	}
}

func TestASuccessLeavesARunThatHasStarted(t *testing.T) {
	s := open(t)
	rec := record(t, s, "red", endedAt(workflowEvent(1, 7), 1))
	if _, err := s.RingDue(t.Context(), 2, 10); err != nil {
		t.Fatal(err)
	}
	if _, refused, err := s.ClaimRun(t.Context(), store.Claim{RunID: rec.RunID, Holder: "h", TTL: time.Minute, Limits: limits}); err != nil || refused != "" {
		t.Fatal(refused, err)
	}
	if got := success(t, s, "green", endedAt(workflowEvent(1, 7), 2)); len(got.Superseded) != 0 || stateOf(t, s, rec.RunID) != "running()" {
		t.Errorf("%+v %s", got, stateOf(t, s, rec.RunID))
	}
}

func TestOldSuccessesAreForgotten(t *testing.T) {
	s := open(t)
	success(t, s, "green", endedAt(workflowEvent(1, 7), 2))
	if n, err := s.PruneGreens(t.Context(), time.Hour); err != nil || n != 0 {
		t.Errorf("%d forgotten, %v", n, err)
	}
	if n, err := s.PruneGreens(t.Context(), -time.Hour); err != nil || n != 3 {
		t.Errorf("%d forgotten, %v", n, err)
	}
}

func TestAReplayedDeliveryIsRememberedByItsNewBody(t *testing.T) {
	s := open(t)
	if _, err := s.RecordEnd(t.Context(), delivery("d1"), store.OutcomeDead, "malformed"); err != nil {
		t.Fatal(err)
	}
	mended := delivery("d1")
	mended.BodySHA256 = delivery("another body").BodySHA256
	if rec, err := s.RecordFailure(t.Context(), mended, failure(1, 1), store.Start{Reason: run.WaitNew}, ""); err != nil || rec.Outcome != store.OutcomeRun {
		t.Fatal(rec, err)
	}
	captured := mended
	captured.ID = "fresh-id"
	if rec, err := s.RecordFailure(t.Context(), captured, failure(1, 2), store.Start{Reason: run.WaitNew}, ""); err != nil || rec.Reason != "same_body" {
		t.Errorf("the new body under a fresh id: %+v, %v", rec, err)
	}
}
