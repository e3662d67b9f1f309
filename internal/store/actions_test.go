package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

var ada = store.Actor{Who: "ada", Why: "I looked at it"}

// ended brings a run to an end with a fingerprint.
func ended(t *testing.T, s *store.Store, commit int, st run.State, reason string) store.Run {
	t.Helper()
	r := claimed(t, s, failure(1, commit))
	if err := s.EndRun(t.Context(), r.ID, r.Fence, store.End{State: st, Reason: reason, Explanation: "x", Fingerprint: "fp"}); err != nil {
		t.Fatal(err)
	}
	return state(t, s, r.ID)
}

func reason(t *testing.T, err error) string {
	t.Helper()
	var a *store.ActionError
	if !errors.As(err, &a) {
		t.Fatalf("not an action error: %v", err)
	}
	return a.Reason
}

func TestRetryBeginsAnewAndForgivesEarlierAttempts(t *testing.T) {
	s := open(t)
	r := ended(t, s, 1, run.Declined, "still_red")
	again, err := s.RetryRun(t.Context(), r.ID, ada)
	if err != nil || again.State != "waiting" || again.Fence <= r.Fence || again.Generation != 2 || again.EndedAt != nil {
		t.Fatalf("%+v, %v", again.Run, err)
	}
	for attempt := range limits.MaxAttempts { // the whole cap is there again
		exec(t, s, "update runs set attempt_started_at = attempt_started_at - interval '1 hour', attempt_ended_at = attempt_ended_at - interval '1 hour', not_before = now() where id = $1", r.ID)
		if _, err := s.RingDue(t.Context(), 2, 10); err != nil {
			t.Fatal(err)
		}
		got := claim(t, s, r.ID)
		if int(got.AttemptCount) != attempt+2 {
			t.Errorf("attempt %d", got.AttemptCount)
		}
		exec(t, s, "update runs set lease_expires_at = now() - interval '1 second' where id = $1", r.ID)
		if _, err := s.TakeBack(t.Context(), limits, 10); err != nil {
			t.Fatal(err)
		}
	}
	if got := state(t, s, r.ID); got.State != "blocked" || got.Reason != run.EndMaxAttempts {
		t.Errorf("after the cap: %s(%s)", got.State, got.Reason)
	}
	h, err := s.History(t.Context(), r.ID)
	if err != nil || len(h.Actions) != 1 || h.Actions[0].Who != "ada" || h.Actions[0].BeforeReason != "still_red" {
		t.Errorf("actions: %+v, %v", h.Actions, err)
	}
}

func TestActionsThatMakeNoSenseAreRefusedWithTheirReason(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	declined := ended(t, s, 1, run.Declined, "no_fixer")
	running := claimed(t, s, failure(1, 2))
	_, err := s.CancelRun(ctx, declined.ID, ada)
	if got := reason(t, err); got != "ended" {
		t.Error(got)
	}
	_, err = s.RetryRun(ctx, running.ID, ada)
	if got := reason(t, err); got != "active" {
		t.Error(got)
	}
	_, err = s.UnblockRun(ctx, running.ID, ada)
	if got := reason(t, err); got != "not_blocked" {
		t.Error(got)
	}
	_, err = s.CancelRun(ctx, running.ID, store.Actor{Who: "ada"})
	if got := reason(t, err); got != "no_reason_given" {
		t.Error(got)
	}
	if _, err := s.RetryRun(ctx, 404, ada); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

func TestCancellingTakesTheRunOutOfItsHoldersHands(t *testing.T) {
	s := open(t)
	r := claimed(t, s, failure(1, 1))
	got, err := s.CancelRun(t.Context(), r.ID, ada)
	if err != nil || got.State != "cancelled" {
		t.Fatalf("%+v, %v", got.Run, err)
	}
	if err := s.Renew(t.Context(), r.ID, r.Fence, "h", time.Minute); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the holder still has it: %v", err)
	}
	if err := s.SaveFix(t.Context(), r.ID, r.Fence, fix(r)); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the holder could still write: %v", err)
	}
}

// intended brings a run to its publication's intent.
func intended(t *testing.T, s *store.Store, commit int) (store.Run, error) {
	t.Helper()
	ctx := t.Context()
	r := claimed(t, s, failure(1, commit))
	if err := s.SaveFix(ctx, r.ID, r.Fence, fix(r)); err != nil {
		t.Fatal(err)
	}
	p, refused, err := s.ClaimPublication(ctx, r.ID, r.Fence, "p", time.Minute)
	if err != nil || refused != "" {
		t.Fatal(refused, err)
	}
	i := intent()
	i.Fingerprint = *p.Fingerprint
	_, err = s.Intend(ctx, r.ID, p.Fence, i)
	return p, err
}

func TestOneFingerprintHasOnePublicationAtATime(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	first, err := intended(t, s, 1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := intended(t, s, 2)
	var taken *store.FingerprintTakenError
	if !errors.As(err, &taken) || taken.Holder.RunID != first.ID {
		t.Fatalf("the second intent of one fingerprint: %v", err)
	}
	receipt := store.Receipt{State: store.PubOpened, Number: 1, URL: "https://forge/pull/1"}
	if err := s.Publish(ctx, first.ID, first.Fence, receipt, store.End{State: run.Published}); err != nil {
		t.Fatal(err)
	}
	i := intent()
	i.Fingerprint = "f"
	if _, err := s.Intend(ctx, second.ID, second.Fence, i); !errors.As(err, &taken) {
		t.Fatalf("an open pull request does not stand for its fingerprint: %v", err)
	}
	if err := s.SetPRState(ctx, taken.Holder, store.PRMerged); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Intend(ctx, second.ID, second.Fence, i); err != nil {
		t.Errorf("after the merge: %v", err)
	}
	if n, err := s.Merged(ctx, "f"); err != nil || n != 1 {
		t.Errorf("%d merged, %v", n, err)
	}
}

func TestARefusalStandsUntilItIsLifted(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	r, err := intended(t, s, 1)
	if err != nil {
		t.Fatal(err)
	}
	end := store.End{State: run.Blocked, Reason: "pull_request_closed"}
	if err := s.Refuse(ctx, r.ID, r.Fence, end, "https://forge/pull/1"); err != nil {
		t.Fatal(err)
	}
	if url, err := s.Refused(ctx, "f"); err != nil || url != "https://forge/pull/1" {
		t.Errorf("%q, %v", url, err)
	}
	if _, err := s.RetryRun(ctx, r.ID, ada); err != nil {
		t.Fatal(err)
	}
	if url, _ := s.Refused(ctx, "f"); url == "" {
		t.Error("a retry lifts a refusal")
	}
	if _, err := s.UnblockRun(ctx, r.ID, ada); err != nil {
		t.Fatal(err)
	}
	if url, err := s.Refused(ctx, "f"); err != nil || url != "" {
		t.Errorf("after the lift: %q, %v", url, err)
	}
	var who, why string
	if err := s.Pool().QueryRow(ctx, "select lifted_by, lifted_why from refusals").Scan(&who, &why); err != nil || who != "ada" || why != ada.Why {
		t.Errorf("lifted by %q because %q, %v", who, why, err)
	}
}

func TestAnIntentForARefusedFingerprintIsRefusedToo(t *testing.T) {
	s := open(t)
	first, err := intended(t, s, 1)
	if err != nil {
		t.Fatal(err)
	}
	// The other publisher has asked for refusals already, and found none.
	if err := s.Refuse(t.Context(), first.ID, first.Fence, store.End{State: run.Blocked, Reason: store.ReasonPRClosed}, "https://forge/pull/1"); err != nil {
		t.Fatal(err)
	}
	second, err := intended(t, s, 2)
	var no *store.FingerprintRefusedError
	if !errors.As(err, &no) || no.PRURL != "https://forge/pull/1" {
		t.Errorf("an intent against a refusal: %v", err)
	}
	if pub, err := s.Publication(t.Context(), second.ID); err != nil || pub != nil {
		t.Errorf("it left %+v, %v", pub, err)
	}
}

func TestAFingerprintIsHeldByWhatIsOpenOrOnItsWay(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	held := func(want int64) {
		t.Helper()
		p, err := s.Holder(ctx, "f")
		if err != nil || (p == nil) != (want == 0) || p != nil && p.RunID != want {
			t.Errorf("held by %+v, %v; want run %d", p, err, want)
		}
	}
	held(0)
	first, err := intended(t, s, 1)
	if err != nil {
		t.Fatal(err)
	}
	held(first.ID)
	receipt := store.Receipt{State: store.PubOpened, Number: 1, URL: "https://forge/pull/1"}
	if err := s.Publish(ctx, first.ID, first.Fence, receipt, store.End{State: run.Published}); err != nil {
		t.Fatal(err)
	}
	held(first.ID)
	pub, err := s.Publication(ctx, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetPRState(ctx, *pub, store.PRClosed); err != nil {
		t.Fatal(err)
	}
	held(0)
	if closed, err := s.ClosedPublications(ctx, "f", 3); err != nil || len(closed) != 1 || closed[0].RunID != first.ID {
		t.Errorf("closed: %+v, %v", closed, err)
	}
	second, err := intended(t, s, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetPRState(ctx, *pub, store.PROpen); err != nil { // opened again while the second one stands
		t.Error(err)
	}
	held(second.ID)
	if err := s.Refuse(ctx, second.ID, second.Fence, store.End{State: run.Superseded, Reason: "stale"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPRState(ctx, *pub, store.PROpen); err != nil {
		t.Error(err)
	}
	held(first.ID)
}

func TestARunWhoseBranchIsPushedIsNotCancelled(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	r, err := intended(t, s, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Pushed(ctx, r.ID, r.Fence); err != nil {
		t.Fatal(err)
	}
	if err := s.GiveBackPublication(ctx, r.ID, r.Fence, store.GiveBack{Explanation: "the reply was lost"}); err != nil {
		t.Fatal(err)
	}
	var no *store.ActionError
	if _, err := s.CancelRun(ctx, r.ID, ada); !errors.As(err, &no) || no.Reason != "publishing" {
		t.Errorf("cancelled with its branch on the forge: %v", err)
	}
	if p, err := s.Holder(ctx, "f"); err != nil || p == nil || p.RunID != r.ID {
		t.Errorf("its fingerprint is free: %+v, %v", p, err)
	}
}
