package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

// publishing makes a run of repository 1 with a verified fix, in a publisher's hands.
func publishing(t *testing.T, st *store.Store, n int, fingerprint string) store.Run {
	t.Helper()
	f := ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: "1", Owner: "acme", Name: "hello"}, Branch: "main", Commit: fmt.Sprintf("%040d", n),
		Workflow: "ci.yml",
	}
	d := store.Delivery{Provider: "github", ID: fmt.Sprint("d", n), Event: "x", BodySHA256: fmt.Sprintf("%064d", n), ReceivedAt: time.Now()}
	rec, err := st.RecordFailure(t.Context(), d, f, store.Start{Reason: run.WaitNew}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.RingDue(t.Context(), 100, 100); err != nil {
		t.Fatal(err)
	}
	limits := run.Limits{MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: time.Second, Cooldown: time.Second, PerRepository: 100}
	r, refused, err := st.ClaimRun(t.Context(), store.Claim{RunID: rec.RunID, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil || refused != "" {
		t.Fatal(refused, err)
	}
	diff := []byte("diff")
	err = st.SaveFix(t.Context(), r.ID, r.Fence, store.Fix{
		BaseCommit: f.Commit, Diff: diff, Digest: patch.Digest(diff), Fixer: "f", Title: "t", Explanation: "e", Fingerprint: fingerprint,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, refused, err = st.ClaimPublication(t.Context(), r.ID, r.Fence, "p", time.Minute)
	if err != nil || refused != "" {
		t.Fatal(refused, err)
	}
	return r
}

func capped(n int, c store.Caps) store.Intent {
	return store.Intent{Fingerprint: fmt.Sprint("f", n), Digest: "d", Branch: fmt.Sprint("sre-agent/", n), BaseBranch: "main", CommitID: fmt.Sprintf("%040d", n), Caps: c}
}

func TestTwoPublishersCanNotBothPassACap(t *testing.T) {
	for name, caps := range map[string]store.Caps{"open": {Open: 2}, "an hour": {PerHour: 2}} {
		t.Run(name, func(t *testing.T) {
			st := open(t)
			const publishers = 6
			var runs []store.Run
			for n := range publishers {
				runs = append(runs, publishing(t, st, n+1, fmt.Sprint("f", n)))
			}
			errs := make(chan error, publishers)
			for n, r := range runs {
				go func() {
					_, err := st.Intend(t.Context(), r.ID, r.Fence, capped(n, caps))
					errs <- err
				}()
			}
			passed := 0
			for range publishers {
				err := <-errs
				var over *store.CapError
				switch {
				case err == nil:
					passed++
				case !errors.As(err, &over):
					t.Error(err)
				case over.Full != (caps.Open > 0) || caps.PerHour > 0 && (over.After < 59*time.Minute || over.After > 61*time.Minute): // one that waited for the lock began before what it counts
					t.Errorf("%+v", over)
				}
			}
			if passed != 2 {
				t.Errorf("%d passed a cap of 2", passed)
			}
		})
	}
}

func TestAnIntentThatWasLetThroughIsNotHeldUpByTheCapLater(t *testing.T) {
	st := open(t)
	r := publishing(t, st, 1, "f1")
	for range 2 {
		if _, err := st.Intend(t.Context(), r.ID, r.Fence, capped(1, store.Caps{Open: 1, PerHour: 1})); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARunOverACapWaitsAndKeepsItsFix(t *testing.T) {
	st := open(t)
	r := publishing(t, st, 1, "f1")
	wait := store.GiveBack{Reason: run.WaitPRCap, Explanation: "5 are open"}
	if err := st.GiveBackPublication(t.Context(), r.ID, r.Fence, wait); err != nil {
		t.Fatal(err)
	}
	if got, err := st.Run(t.Context(), r.ID); err != nil || got.State != "waiting" || got.Reason != "pr_cap" || got.TransientCount != 0 {
		t.Fatalf("%s(%s), %v", got.State, got.Reason, err)
	}
	rung, err := st.RingDue(t.Context(), 1, 10)
	if err != nil || len(rung) != 1 {
		t.Fatal(rung, err)
	}
	got, resumed, err := st.ResumeFix(t.Context(), r.ID, r.Fence)
	if err != nil || !resumed || got.State != "fixed" || got.AttemptCount != 1 {
		t.Fatalf("%t, %s with %d attempts, %v", resumed, got.State, got.AttemptCount, err)
	}
	if _, err := st.Fix(t.Context(), r.ID); err != nil {
		t.Error(err)
	}
}

// What is on its way is the publisher's alone: a later success must not end it and leave its fingerprint taken.
func TestAnIntentThatHasToWaitStaysWithThePublisher(t *testing.T) {
	st := open(t)
	r := publishing(t, st, 1, "f1")
	if _, err := st.Intend(t.Context(), r.ID, r.Fence, capped(1, store.Caps{})); err != nil {
		t.Fatal(err)
	}
	if err := st.GiveBackPublication(t.Context(), r.ID, r.Fence, store.GiveBack{Reason: run.WaitPRCap, Explanation: "x"}); err != nil {
		t.Fatal(err)
	}
	if got, err := st.Run(t.Context(), r.ID); err != nil || got.State != "fixed" || got.Reason != "pr_cap" {
		t.Errorf("%s(%s), %v", got.State, got.Reason, err)
	}
}

func TestARunWithoutAFixIsNotResumed(t *testing.T) {
	st := open(t)
	r := publishing(t, st, 1, "f1")
	if _, resumed, err := st.ResumeFix(t.Context(), r.ID, r.Fence); resumed || err != nil {
		t.Error("one in a publisher's hands was taken", err)
	}
}

func TestOneIncidentHasOnePullRequestAndLinksItsFollowers(t *testing.T) {
	st := open(t)
	first, second, other := publishing(t, st, 1, "f1"), publishing(t, st, 2, "f2"), publishing(t, st, 3, "f3")
	with := func(n int, incident string) store.Intent {
		i := capped(n, store.Caps{})
		i.Incident, i.Window = incident, time.Hour
		return i
	}
	if _, err := st.Intend(t.Context(), first.ID, first.Fence, with(1, "x")); err != nil {
		t.Fatal(err)
	}
	_, err := st.Intend(t.Context(), second.ID, second.Fence, with(2, "x"))
	var same *store.IncidentError
	if !errors.As(err, &same) || same.Holder.RunID != first.ID {
		t.Fatalf("%v", err)
	}
	if _, err := st.Intend(t.Context(), other.ID, other.Fence, with(3, "y")); err != nil {
		t.Errorf("another incident was held up: %v", err)
	}
	if err := st.Follow(t.Context(), second.ID, second.Fence, first.ID, store.End{State: run.Superseded, Reason: "incident", Explanation: "x"}); err != nil {
		t.Fatal(err)
	}
	h, err := st.History(t.Context(), first.ID)
	if err != nil || len(h.Followers) != 1 || h.Followers[0] != second.ID {
		t.Errorf("%v, %v", h.Followers, err)
	}
	if got, err := st.Run(t.Context(), second.ID); err != nil || got.Follows == nil || *got.Follows != first.ID {
		t.Errorf("%v, %v", got.Follows, err)
	}
}

func TestARevertIsANoAndIsCounted(t *testing.T) {
	st := open(t)
	r := publishing(t, st, 1, "f1")
	if _, err := st.Intend(t.Context(), r.ID, r.Fence, capped(1, store.Caps{})); err != nil {
		t.Fatal(err)
	}
	if err := st.RefuseReverted(t.Context(), r.ID, 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what is not merged was reverted: %v", err)
	}
	merged := store.Receipt{State: store.PubOpened, Number: 1, URL: "https://forge/1", Merged: true}
	if err := st.Publish(t.Context(), r.ID, r.Fence, merged, store.End{State: run.Published}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // noticed twice
		if err := st.RefuseReverted(t.Context(), r.ID, 1); err != nil {
			t.Fatal(err)
		}
	}
	if url, err := st.Refused(t.Context(), "f1"); err != nil || url != "https://forge/1" {
		t.Errorf("%q, %v", url, err)
	}
	if got, err := st.Acceptance(t.Context(), r.RepositoryID, "", 30); err != nil || got.Opened != 1 || got.Refused != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestATroubleIsToldOnceOnAPullRequest(t *testing.T) {
	st := open(t)
	first, second := publishing(t, st, 1, "f1"), publishing(t, st, 2, "f1")
	n := store.Suggestion{Digest: "d", PRNumber: 7, PRURL: "https://forge/7", Mark: strings.Repeat("a", 32)}
	if _, err := st.IntendSuggestion(t.Context(), first.ID, first.Fence, n); err != nil {
		t.Fatal(err)
	}
	again := n
	again.Mark = strings.Repeat("b", 32)
	if row, err := st.IntendSuggestion(t.Context(), first.ID, first.Fence, again); err != nil || row.Mark != n.Mark {
		t.Errorf("a second try does not adopt the first one's intent: %q, %v", row.Mark, err)
	}
	_, err := st.IntendSuggestion(t.Context(), second.ID, second.Fence, again)
	var taken *store.SuggestionTakenError
	if !errors.As(err, &taken) || taken.Holder.RunID != first.ID {
		t.Errorf("%v", err)
	}
	if err := st.Suggest(t.Context(), first.ID, first.Fence, store.SuggestionPosted, "c1", store.End{State: run.Published, Reason: "suggested"}); err != nil {
		t.Fatal(err)
	}
	if row, err := st.Suggestion(t.Context(), first.ID); err != nil || row.CommentID == nil || *row.CommentID != "c1" {
		t.Errorf("%+v, %v", row, err)
	}
}
