package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

var limits = run.Limits{MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: time.Minute, Cooldown: time.Second, PerRepository: 2}

func migrate(ctx context.Context, url string) error {
	_, err := store.Migrate(ctx, url)
	return err
}

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, migrate), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func failure(repo, commit int) ci.Failure {
	name := fmt.Sprintf("repo-%d", repo)
	return ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: fmt.Sprint(1000 + repo), Owner: "acme", Name: name, DefaultBranch: "main"},
		HeadRepository: "acme/" + name, Branch: "main", BaseBranch: "main", Commit: fmt.Sprintf("%040d", commit),
		Workflow: ".github/workflows/ci.yml", WorkflowName: "CI", RunID: "1", RunAttempt: 1, Conclusion: "failure",
	}
}

func delivery(id string) store.Delivery {
	return store.Delivery{
		Provider: "github", ID: id, Event: "workflow_run", ReceivedAt: time.Now(),
		BodySHA256: strings.TrimPrefix(patch.Digest([]byte(id)), "sha256:"),
	}
}

func record(t *testing.T, s *store.Store, id string, f ci.Failure) store.Record {
	t.Helper()
	rec, err := s.RecordFailure(t.Context(), delivery(id), f, store.Start{Reason: run.WaitNew}, "")
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// claimed brings one new run into the hands of a holder.
func claimed(t *testing.T, s *store.Store, f ci.Failure) store.Run {
	t.Helper()
	rec := record(t, s, f.RunKey(), f)
	if _, err := s.RingDue(t.Context(), limits.PerRepository, 100); err != nil {
		t.Fatal(err)
	}
	return claim(t, s, rec.RunID)
}

func claim(t *testing.T, s *store.Store, id int64) store.Run {
	t.Helper()
	r, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	r, refused, err := s.ClaimRun(t.Context(), store.Claim{RunID: id, Fence: r.Fence, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil || refused != "" {
		t.Fatalf("claim: refused %q, error %v", refused, err)
	}
	return r
}

func exec(t *testing.T, s *store.Store, sql string, args ...any) {
	t.Helper()
	if _, err := s.Pool().Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, s *store.Store, id int64) store.Run {
	t.Helper()
	r, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEightServicesAtOnceMigrateOnce(t *testing.T) {
	url := testenv.Postgres(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var applied []int64
	for range 8 {
		wg.Go(func() {
			versions, err := store.Migrate(t.Context(), url)
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, versions...)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[int64]bool{}
	for _, v := range applied {
		if seen[v] {
			t.Errorf("migration %d was applied twice", v)
		}
		seen[v] = true
	}
	if len(seen) == 0 {
		t.Error("nothing was applied")
	}
	if again, err := store.Migrate(t.Context(), url); err != nil || len(again) != 0 {
		t.Errorf("the schema is not up to date: %v, %v", again, err)
	}
}

func TestADeliveryHasExactlyOneRecord(t *testing.T) {
	s := open(t)
	f := failure(1, 1)
	first := record(t, s, "d1", f)
	if first.Outcome != store.OutcomeRun || first.RunID == 0 {
		t.Fatalf("first: %+v", first)
	}
	if again := record(t, s, "d1", f); !again.Known || again.RunID != first.RunID {
		t.Errorf("the same delivery again: %+v", again)
	}
	if other := record(t, s, "d2", f); other.Outcome != store.OutcomeCoalesced || other.RunID != first.RunID {
		t.Errorf("another delivery of the same failure: %+v", other)
	}
	captured := delivery("d1")
	captured.ID = "fresh-id"
	rec, err := s.RecordFailure(t.Context(), captured, f, store.Start{Reason: run.WaitNew}, "")
	if err != nil || rec.Outcome != store.OutcomeDuplicate || rec.Reason != "same_body" {
		t.Errorf("a captured body under a fresh id: %+v, %v", rec, err)
	}
	counts, err := s.DeliveryCounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if counts["run"] != 1 || counts["coalesced"] != 1 || counts["duplicate"] != 1 || len(counts) != 3 {
		t.Errorf("records: %v", counts)
	}
}

func TestADeadDeliveryMayBeReplayed(t *testing.T) {
	s := open(t)
	if _, err := s.RecordEnd(t.Context(), delivery("d1"), store.OutcomeDead, "malformed"); err != nil {
		t.Fatal(err)
	}
	if rec := record(t, s, "d1", failure(1, 1)); rec.Outcome != store.OutcomeRun || rec.Known {
		t.Errorf("replayed: %+v", rec)
	}
}

func TestTwentyDeliveriesAtOnceMakeOneRun(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := s.RecordFailure(t.Context(), delivery(fmt.Sprint("d", i/2)), failure(1, 1), store.Start{Reason: run.WaitNew}, "")
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	counts, _ := s.DeliveryCounts(t.Context())
	if counts["run"] != 1 || counts["coalesced"] != 9 {
		t.Errorf("records: %v", counts)
	}
}

func TestARepositoryNeverHasMoreActiveRunsThanItsLimit(t *testing.T) {
	s := open(t)
	for i := range 5 {
		record(t, s, fmt.Sprint("a", i), failure(1, i))
		record(t, s, fmt.Sprint("b", i), failure(2, i))
	}
	rung, err := s.RingDue(t.Context(), 2, 100)
	if err != nil {
		t.Fatal(err)
	}
	per := map[int64]int{}
	for _, r := range rung {
		per[r.RepositoryID]++
	}
	if len(per) != 2 || len(rung) != 4 {
		t.Errorf("rung per repository: %v", per)
	}
	// A wiped Redis, or a forged doorbell, does not get past the claim either.
	exec(t, s, "update runs set state = 'ready', rung_at = now() where state = 'waiting'")
	all, err := s.Runs(t.Context(), "ready", 100)
	if err != nil {
		t.Fatal(err)
	}
	running := map[int64]int{}
	for _, r := range all {
		_, refused, err := s.ClaimRun(t.Context(), store.Claim{RunID: r.ID, Fence: r.Fence, Holder: "h", TTL: time.Minute, Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		if refused == "" {
			running[r.RepositoryID]++
		} else if refused != store.RefusedNoSlot {
			t.Errorf("refused: %s", refused)
		}
	}
	for repo, n := range running {
		if n != 2 {
			t.Errorf("repository %d runs %d at once", repo, n)
		}
	}
}

func TestOnlyOneOfManyClaimsWins(t *testing.T) {
	s := open(t)
	rec := record(t, s, "d1", failure(1, 1))
	if _, err := s.RingDue(t.Context(), 2, 10); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 10 {
		wg.Go(func() {
			_, refused, err := s.ClaimRun(t.Context(), store.Claim{RunID: rec.RunID, Fence: 0, Holder: fmt.Sprint(i), TTL: time.Minute, Limits: limits})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			} else if refused == "" {
				won++
			}
		})
	}
	wg.Wait()
	if r := state(t, s, rec.RunID); won != 1 || r.Fence != 1 || r.AttemptCount != 1 {
		t.Errorf("%d claims won; fence %d, attempts %d", won, r.Fence, r.AttemptCount)
	}
}

func TestAStaleFenceIsRefusedEverywhere(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	r := claimed(t, s, failure(1, 1))
	stale := r.Fence - 1
	end := store.End{State: run.Declined, Reason: "no_fixer"}
	for name, write := range map[string]func() error{
		"renew":     func() error { return s.Renew(ctx, r.ID, stale, "h", time.Minute) },
		"end":       func() error { return s.EndRun(ctx, r.ID, stale, end) },
		"save fix":  func() error { return s.SaveFix(ctx, r.ID, stale, fix(r)) },
		"give back": func() error { return s.GiveBack(ctx, r.ID, stale, store.GiveBack{}) },
		"defer":     func() error { return s.Defer(ctx, r.ID, stale, run.WaitNoSlot, 0) },
		"refuse":    func() error { return s.Refuse(ctx, r.ID, stale, end, "") },
		"pushed":    func() error { return s.Pushed(ctx, r.ID, stale) },
		"intend":    func() error { _, err := s.Intend(ctx, r.ID, stale, intent()); return err },
	} {
		if err := write(); !errors.Is(err, store.ErrFenced) {
			t.Errorf("%s with a stale fence: %v", name, err)
		}
	}
	if got := state(t, s, r.ID); got.State != string(run.Running) || got.Fence != r.Fence {
		t.Errorf("the run changed: %s, fence %d", got.State, got.Fence)
	}
}

func fix(r store.Run) store.Fix {
	diff := []byte("diff --git a/a b/a\n")
	return store.Fix{
		BaseCommit: r.Failure.Commit, Diff: diff, Digest: patch.Digest(diff), Fixer: "gofmt", Title: "Run gofmt",
		Explanation: "formatted", Fingerprint: "f", Evidence: []byte(`{"stages":[]}`),
	}
}

func intent() store.Intent {
	return store.Intent{Digest: "sha256:x", Branch: "sre-agent/ci-abc", BaseBranch: "main", CommitID: fmt.Sprintf("%040d", 7)}
}

func TestADigestThatIsNotTheDiffsIsRefusedByTheDatabase(t *testing.T) {
	s := open(t)
	r := claimed(t, s, failure(1, 1))
	f := fix(r)
	f.Digest = patch.Digest([]byte("another diff"))
	if err := s.SaveFix(t.Context(), r.ID, r.Fence, f); err == nil {
		t.Error("saved")
	}
}

func TestGivingBackBurnsNoAttempt(t *testing.T) {
	s := open(t)
	r := claimed(t, s, failure(1, 1))
	for want := int64(2); want < 5; want++ {
		if err := s.GiveBack(t.Context(), r.ID, r.Fence, store.GiveBack{Reason: "shutdown"}); err != nil {
			t.Fatal(err)
		}
		if got := state(t, s, r.ID); got.AttemptCount != 0 || got.State != "waiting" || got.TransientCount != 0 {
			t.Fatalf("given back: %s, %d attempts", got.State, got.AttemptCount)
		}
		if _, err := s.RingDue(t.Context(), 2, 10); err != nil {
			t.Fatal(err)
		}
		if r = claim(t, s, r.ID); r.Fence != want || r.AttemptCount != 1 {
			t.Fatalf("claimed again: fence %d, %d attempts", r.Fence, r.AttemptCount)
		}
	}
}

func TestACrashRestsAndThenBlocks(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	r := claimed(t, s, failure(1, 1))
	for attempt := 1; attempt <= limits.MaxAttempts; attempt++ {
		exec(t, s, "update runs set lease_expires_at = now() - interval '1 second' where id = $1", r.ID)
		taken, err := s.TakeBack(ctx, limits, 10)
		if err != nil || len(taken) != 1 {
			t.Fatalf("take back: %d, %v", len(taken), err)
		}
		if attempt == limits.MaxAttempts {
			break
		}
		if taken[0].State != "waiting" || taken[0].NotBefore == nil {
			t.Fatalf("after crash %d: %s(%s)", attempt, taken[0].State, taken[0].Reason)
		}
		if err := s.EndRun(ctx, r.ID, r.Fence, store.End{State: run.Declined, Reason: "x"}); !errors.Is(err, store.ErrFenced) {
			t.Errorf("the dead holder could still write: %v", err)
		}
		if rung, _ := s.RingDue(ctx, 2, 10); len(rung) != 0 {
			t.Errorf("rung before its rest was over")
		}
		// The claim itself refuses a start before the rest is over, whoever rang.
		exec(t, s, "update runs set state = 'ready', rung_at = now() where id = $1", r.ID)
		_, refused, err := s.ClaimRun(ctx, store.Claim{RunID: r.ID, Fence: r.Fence, Holder: "h", TTL: time.Minute, Limits: limits})
		if err != nil || refused == "" {
			t.Errorf("claimed before its rest was over: %q, %v", refused, err)
		}
		exec(t, s, "update runs set attempt_started_at = attempt_started_at - interval '1 hour', attempt_ended_at = attempt_ended_at - interval '1 hour' where id = $1", r.ID)
		r = claim(t, s, r.ID)
		if int(r.AttemptCount) != attempt+1 {
			t.Fatalf("attempt %d counts as %d", attempt+1, r.AttemptCount)
		}
	}
	if got := state(t, s, r.ID); got.State != "blocked" || got.Reason != run.EndMaxAttempts || got.Explanation == "" {
		t.Errorf("after the last crash: %s(%s)", got.State, got.Reason)
	}
}

func TestAPublicationIsIntendedOnceAndAdopted(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	r := claimed(t, s, failure(1, 1))
	if err := s.SaveFix(ctx, r.ID, r.Fence, fix(r)); err != nil {
		t.Fatal(err)
	}
	p, refused, err := s.ClaimPublication(ctx, r.ID, r.Fence, "p1", time.Minute)
	if err != nil || refused != "" {
		t.Fatal(refused, err)
	}
	if _, refused, _ := s.ClaimPublication(ctx, r.ID, r.Fence, "p2", time.Minute); refused == "" {
		t.Error("two publishers hold one run")
	}
	first, err := s.Intend(ctx, r.ID, p.Fence, intent())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, s, "update runs set lease_expires_at = now() - interval '1 second' where id = $1", r.ID)
	if _, err := s.TakeBack(ctx, limits, 10); err != nil {
		t.Fatal(err)
	}
	if err := s.Pushed(ctx, r.ID, p.Fence); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the dead publisher could still write: %v", err)
	}
	rung, err := s.RingFixed(ctx, time.Minute, 10)
	if err != nil || len(rung) != 1 {
		t.Fatalf("rung again: %d, %v", len(rung), err)
	}
	p2, _, err := s.ClaimPublication(ctx, r.ID, rung[0].Fence, "p2", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	other := intent()
	other.CommitID = fmt.Sprintf("%040d", 8)
	second, err := s.Intend(ctx, r.ID, p2.Fence, other)
	if err != nil || second.CommitID != first.CommitID {
		t.Errorf("the second publisher did not adopt the intent: %s, %v", second.CommitID, err)
	}
	receipt := store.Receipt{State: store.PubOpened, Number: 1, URL: "https://forge/pull/1"}
	if err := s.Publish(ctx, r.ID, p2.Fence, receipt, store.End{State: run.Published}); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, r.ID, p2.Fence, receipt, store.End{State: run.Published}); !errors.Is(err, store.ErrFenced) {
		t.Errorf("published twice: %v", err)
	}
	h, err := s.History(ctx, r.ID)
	if err != nil || h.Publication == nil || *h.Publication.PrNumber != 1 || h.Fix == nil || len(h.Attempts) != 1 || len(h.Deliveries) != 1 {
		t.Errorf("history: %+v, %v", h, err)
	}
}

func TestAfterARestartOfTheDatabaseHoldersGetALeaseToShowThatTheyLive(t *testing.T) {
	s := open(t)
	r := claimed(t, s, failure(1, 1))
	exec(t, s, "update runs set lease_expires_at = now() - interval '1 second'")
	graceful := limits
	graceful.Lease = 10_000 * time.Hour // the database was started within it
	taken, err := s.TakeBack(t.Context(), graceful, 10)
	if err != nil || len(taken) != 0 {
		t.Errorf("%d taken back right after the restart, %v", len(taken), err)
	}
	if err := s.GiveBack(t.Context(), r.ID, r.Fence, store.GiveBack{Reason: "dependency"}); err != nil {
		t.Errorf("the holder can't hand it back: %v", err)
	}
}
