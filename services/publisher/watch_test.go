package publisher_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/watch"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// watched is a rig with an open pull request and a watcher. Ada may write to the repository, eve may read it.
type watched struct {
	*rig
	watcher *publisher.Watcher
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	r := newRig(t)
	if got := r.publish(r.Service); got.State != "published" {
		t.Fatalf("%s(%s) %s", got.State, got.Reason, got.Explanation)
	}
	w := &watched{rig: r, watcher: r.watching()}
	for login, may := range map[string]string{"ada": "write", "eve": "read"} {
		w.do(r.forge.Allow("acme", "hello", login, may))
	}
	w.look()
	return w
}

// watching is another publisher process that watches.
func (r *rig) watching() *publisher.Watcher {
	mirrors := r.publisher().Git.(*publisher.Mirrors)
	return &publisher.Watcher{
		Store: r.st, Target: r.at(r.hub), History: mirrors, Settings: mirrors, Events: silent{}, Counters: r.tel.Counters, Log: r.tel.Log,
		Redact: redact.New([]string{token}).String, Holder: "watcher", TTL: time.Minute,
		Every: publisher.Intervals{Least: time.Minute, Most: time.Hour, Stale: 14 * 24 * time.Hour, Base: 7 * 24 * time.Hour},
	}
}

func (w *watched) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// look has everything looked at as a webhook would, until nothing is due.
func (w *watched) look() { w.t.Helper(); w.lookWith(w.watcher) }

func (w *watched) lookWith(s *publisher.Watcher) {
	w.t.Helper()
	w.exec("update watches set due = now()")
	for range 20 {
		worked, err := s.RunOnce(w.t.Context())
		w.do(err)
		if !worked {
			return
		}
	}
	w.t.Fatal("something is always due")
}

func (w *watched) says(login, body string) {
	w.t.Helper()
	w.do(w.forge.CommentAs(login, "acme", "hello", 1, body))
	w.look()
}

// row is what is recorded of the first pull request.
func (w *watched) row() *store.Watch {
	w.t.Helper()
	run, err := w.st.Runs(w.t.Context(), "", 100)
	w.do(err)
	got, err := w.st.WatchOf(w.t.Context(), run[len(run)-1].ID, 1)
	w.do(err)
	return got
}

// ours is the one comment that is ours; more than one is an error.
func (w *watched) ours() string {
	w.t.Helper()
	body, n := "", 0
	for _, c := range w.prs()[0].Comments {
		if c.Author == "sre-agent" {
			body, n = c.Body, n+1
		}
	}
	if n > 1 {
		w.t.Errorf("we have %d comments, and may have one", n)
	}
	return body
}

func (w *watched) refused() bool {
	w.t.Helper()
	url, err := w.st.Refused(w.t.Context(), *w.row().Run.Fingerprint)
	w.do(err)
	return url != ""
}

func (w *watched) wantOurs(texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		if !strings.Contains(w.ours(), text) {
			w.t.Errorf("our comment lacks %q:\n%s", text, w.ours())
		}
	}
}

func TestOnlyWhoMayWriteIsObeyed(t *testing.T) {
	w := newWatched(t)
	for _, login := range []string{"eve", "nobody-knows-me"} {
		w.says(login, "/sre-agent off")
		if off, err := w.st.SwitchedOff(t.Context(), w.run.ID); err != nil || off != nil || w.prs()[0].State != "open" {
			t.Fatalf("%s is obeyed: %+v, %v", login, off, err)
		}
	}
	w.wantOurs("Commands are taken from people who may write")
	w.do(w.forge.Allow("acme", "hello", "ada", "read")) // as it is now, not as it was
	w.says("ada", "/sre-agent stop")
	if w.prs()[0].State != "open" || w.refused() {
		t.Fatal("ada could write once, and is obeyed")
	}
	w.do(w.forge.Allow("acme", "hello", "ada", "write"))
	w.says("ada", "> /sre-agent off\n\n/sre-agent stop please")
	if w.prs()[0].State != "closed" || !w.refused() || w.row().Closing != watch.ClosingStop {
		t.Errorf("stop is not obeyed: %+v", w.row())
	}
	w.wantOurs("`stop` of `ada`", "not mended again")
	if n := w.tel.Count(telemetry.Commands, string(telemetry.CommandNotAllowed)); n != 3 {
		t.Errorf("%d commands were not allowed, want 3", n)
	}
}

func TestWhyIsToldAndForeignTextStaysText(t *testing.T) {
	w := newWatched(t)
	w.says("ada", "/sre-agent why")
	w.wantOurs("### Why", "`CI @everyone`", "grep -q World hello.txt", "`why` of `ada`")
	before := w.ours()
	w.look()
	if len(w.forge.Requests()) == 0 || w.ours() != before {
		t.Error("what says the same is edited")
	}
	w.says("ada", "thanks")
	w.says("ada", "/sre-agent retry")
	w.wantOurs("`retry` of `ada`: the pull request is open: close it first")
}

func TestAClosedPullRequestIsANoThatRetryLifts(t *testing.T) {
	w := newWatched(t)
	w.do(w.forge.ClosePullRequest("acme", "hello", 1))
	w.look()
	if !w.refused() || w.row().PrState != watch.Closed {
		t.Fatalf("closing is no no: %+v", w.row())
	}
	w.says("ada", "/sre-agent retry")
	if got := w.state(w.run.ID); w.refused() || got.State != "waiting" || got.Generation != 2 {
		t.Errorf("retry lifts nothing: %s(%s), generation %d", got.State, got.Reason, got.Generation)
	}
	w.wantOurs(fmt.Sprintf("`retry` of `ada`: run %d is tried again", w.run.ID))
	w.look()
	if got := w.state(w.run.ID); got.Generation != 2 {
		t.Errorf("one comment is obeyed twice: generation %d", got.Generation)
	}
}

func TestTheLabelStopsAndOpeningAgainHasTheLastWord(t *testing.T) {
	w := newWatched(t)
	w.do(w.forge.Label("acme", "hello", 1, watch.Label))
	w.look()
	if w.prs()[0].State != "closed" || !w.refused() {
		t.Fatalf("the label is not honoured: %+v", w.row())
	}
	w.do(w.forge.ReopenPullRequest("acme", "hello", 1))
	w.look()
	w.look()
	if w.prs()[0].State != "open" || w.refused() || !w.row().Kept {
		t.Errorf("a person's opening again is not the last word: %+v", w.row())
	}
}

func TestOffClosesAndTakesNoFailureAnyMore(t *testing.T) {
	w := newWatched(t)
	w.again() // another run, which has a fix already
	w.says("ada", "/sre-agent off")
	if w.prs()[0].State != "closed" {
		t.Error("the pull request stays open")
	}
	if got := w.publish(w.Service); got.Reason != store.ReasonRepositoryOff || len(w.prs()) != 1 {
		t.Errorf("a fix on its way is %s(%s), %d pull requests", got.State, got.Reason, len(w.prs()))
	}
	f := w.run.Failure
	f.Commit = strings.Repeat("a", 40)
	rec, err := w.st.RecordFailure(t.Context(), store.Delivery{Provider: "github", ID: "late", Event: "workflow_run", BodySHA256: fmt.Sprintf("%064d", 999), ReceivedAt: time.Now()}, f, store.Start{Reason: "new"}, "")
	if err != nil || rec.Outcome != store.OutcomeIgnored || rec.Reason != store.ReasonRepositoryOff {
		t.Errorf("a failure of a repository that is off is taken: %+v, %v", rec, err)
	}
	if changed, err := w.st.Switch(t.Context(), w.run.RepositoryID, true, store.Actor{Who: "ada", Why: "we want it again"}); err != nil || !changed {
		t.Errorf("switched on %v, %v", changed, err)
	}
}

func TestModeOffInTheRepositoryIsHonouredAtOnce(t *testing.T) {
	w := newWatched(t)
	w.write(".sre-agent.yaml", "version: 1\nmode: off\n")
	w.push("main", "leave us alone")
	w.look()
	if w.prs()[0].State != "closed" || w.row().Closing != watch.ClosingOff || w.refused() {
		t.Errorf("the pull request is %s: %+v", w.prs()[0].State, w.row())
	}
	w.again()
	if got := w.publish(w.Service); got.Reason != "mode_off" || len(w.prs()) != 1 {
		t.Errorf("a fix on its way is %s(%s), %d pull requests", got.State, got.Reason, len(w.prs()))
	}
}

func (w *watched) reports(commit, outcome string) {
	w.t.Helper()
	w.do(w.forge.Report("acme", "hello", forgetest.Check{Commit: commit, Name: "test", Outcome: outcome}))
	w.look()
}

func TestRedChecksOfItsOwnAreSaidOnce(t *testing.T) {
	w := newWatched(t)
	head := w.prs()[0].HeadSHA
	w.reports(head, "failure")
	w.reports(head, "failure")
	w.wantOurs("are red", "a person has to look")
	if !strings.Contains(strings.Join(w.prs()[0].Labels, " "), "needs-review") || w.row().Checks != watch.ChecksRed {
		t.Errorf("%v, %s", w.prs()[0].Labels, w.row().Checks)
	}
	if n := w.tel.Count(telemetry.PullRequestFates, string(telemetry.FateRed)); n != 1 {
		t.Errorf("counted %d times", n)
	}
	if pr := w.prs()[0]; pr.HeadSHA != head || pr.State != "open" {
		t.Errorf("the branch was touched: %+v", pr)
	}
}

func TestTheBaseIsWatchedAfterAMerge(t *testing.T) {
	w := newWatched(t)
	w.do(w.forge.MergePullRequest("acme", "hello", 1))
	w.look()
	w.reports(w.prs()[0].MergeCommit, "success")
	if got := w.row(); got.PrState != watch.Merged || got.Outcome != watch.Green || got.GreenAt == nil || w.refused() {
		t.Fatalf("%+v", got)
	}
	by, err := w.forge.Revert("acme", "hello", 1)
	w.do(err)
	w.look()
	if got := w.row(); got.Outcome != watch.Reverted || got.RevertedBy != by || !w.refused() {
		t.Errorf("a revert is no no: %+v", got)
	}
	stats, err := w.st.Stats(t.Context(), time.Now().Add(-time.Hour))
	if err != nil || len(stats) != 1 || stats[0].Opened != 1 || stats[0].Merged != 1 || stats[0].Reverted != 1 || stats[0].Green != 1 || stats[0].MedianSecondsToGreen <= 0 {
		t.Errorf("%+v, %v", stats, err)
	}
	w.git("fetch", "-q", w.url(), "main")
	w.git("reset", "-q", "--hard", "FETCH_HEAD")
	w.again()
	if got := w.publish(w.Service); got.Reason != "pull_request_closed" || len(w.prs()) != 1 {
		t.Errorf("after a revert: %s(%s)", got.State, got.Reason)
	}
}

func TestWhatIsMendedOtherwiseIsClosed(t *testing.T) {
	w := newWatched(t)
	w.write("other.txt", "a person's work\n")
	f := w.run.Failure
	f.Commit, f.Conclusion = w.push("main", "mended"), "success"
	_, err := w.st.RecordSuccess(t.Context(), store.Delivery{Provider: "github", ID: "green", Event: "workflow_run", BodySHA256: fmt.Sprintf("%064d", 998), ReceivedAt: time.Now()}, f)
	w.do(err)
	w.look()
	if w.prs()[0].State != "closed" || w.row().Closing != watch.ClosingMended {
		t.Errorf("%+v", w.row())
	}
	w.look()
	if w.refused() {
		t.Error("our own closing is taken for a no")
	}
	w.wantOurs("nothing left to mend")
}

func TestAConflictIsSaidAndTheNewerTroubleTakesItsPlace(t *testing.T) {
	w := newWatched(t)
	first := w.run.ID
	w.write("hello.txt", "something else\n")
	w.commit = w.push("main", "another greeting")
	w.look()
	if w.ours() != "" {
		t.Errorf("what a forge says just after a push is believed:\n%s", w.ours())
	}
	w.look()
	w.wantOurs("It conflicts with `main`")
	if w.prs()[0].State != "open" {
		t.Fatal("it is closed though nothing takes its place")
	}
	w.run = w.fixedAs(w.repoID, w.commit)
	w.exec(fmt.Sprintf("update runs set state = 'superseded', reason = 'pull_request_open', fingerprint = (select fingerprint from runs where id = %d), ended_at = now(), not_before = null where id = %d", first, w.run.ID))
	w.look()
	if got := w.state(w.run.ID); w.prs()[0].State != "closed" || got.State != "waiting" || w.refused() {
		t.Errorf("the pull request is %s, the newer run %s(%s)", w.prs()[0].State, got.State, got.Reason)
	}
}

func TestChecksThatCantBeReadArePassedOver(t *testing.T) {
	w := newWatched(t)
	w.forge.SetFault(func(r *http.Request) *forgetest.Fault {
		if strings.Contains(r.URL.Path, "/check-runs") || strings.HasSuffix(r.URL.Path, "/status") {
			return &forgetest.Fault{Status: http.StatusForbidden, Body: `{"message":"Resource not accessible by personal access token"}`}
		}
		return nil
	})
	w.says("ada", "/sre-agent stop")
	if w.prs()[0].State != "closed" || w.row().Problem != "" {
		t.Errorf("it is in the way: %+v", w.row())
	}
	if !strings.Contains(w.tel.Logs(), "what the checks say") {
		t.Error("nothing is logged")
	}
}

// TestACrashAnywhereLeavesOneCommentAndIsMadeGood: a watcher dies at each request that it makes, before or after its
// effect, and another one carries on when the lease has run out.
func TestACrashAnywhereLeavesOneCommentAndIsMadeGood(t *testing.T) {
	for n := range 30 {
		for _, after := range []bool{false, true} {
			w := newWatched(t)
			w.do(w.forge.CommentAs("ada", "acme", "hello", 1, "/sre-agent stop"))
			w.do(w.forge.Report("acme", "hello", forgetest.Check{Commit: w.prs()[0].HeadSHA, Name: "test", Outcome: "failure"}))
			ctx, crash := context.WithCancel(t.Context())
			count := 0
			w.forge.SetFault(func(*http.Request) *forgetest.Fault {
				if count++; count != n+1 {
					return nil
				}
				crash()
				return &forgetest.Fault{Drop: true, AfterEffect: after}
			})
			w.exec("update watches set due = now()")
			if _, err := w.watching().RunOnce(ctx); err != nil {
				t.Fatal(err)
			}
			w.forge.SetFault(nil)
			if ctx.Err() == nil {
				if n == 0 {
					t.Fatal("no request was made at all")
				}
				crash()
				return // fewer requests than that
			}
			w.exec("update watches set lease_expires_at = now() - interval '1 second'")
			w.lookWith(w.watching())
			if w.prs()[0].State != "closed" || !w.refused() || len(w.row().Commands) != 1 {
				t.Errorf("crash at request %d (effect %v): %+v", n+1, after, w.row())
			}
			w.wantOurs("`stop` of `ada`")
		}
	}
}
