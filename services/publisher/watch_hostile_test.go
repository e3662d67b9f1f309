package publisher_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/watch"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// answering has the forge answer what fits in that way, and count it.
func (w *watched) answering(f *forgetest.Fault, fits func(*http.Request) bool) *atomic.Int32 {
	var n atomic.Int32
	w.forge.SetFault(func(r *http.Request) *forgetest.Fault {
		if !fits(r) {
			return nil
		}
		n.Add(1)
		return f
	})
	return &n
}

func api(r *http.Request) bool { return strings.Contains(r.URL.Path, "/api/v3/") }

func reading(what string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == http.MethodGet && strings.Contains(r.URL.Path, what) }
}

func writing(what string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, what) }
}

func TestCommentsThatCantBeReadKeepNothingElseFromBeingSeen(t *testing.T) {
	w := newWatched(t)
	w.says("ada", "hello")
	read := w.row().Seen
	w.answering(&forgetest.Fault{Status: http.StatusOK, Body: `[{"body":"` + strings.Repeat("\U0001F4A5", 3<<20) + `"}]`}, reading("/comments"))
	w.do(w.forge.Label("acme", "hello", 1, watch.Label))
	w.look()
	if w.prs()[0].State != "closed" || !w.refused() || w.row().Problem != "" {
		t.Errorf("a huge comment is in the way: %+v", w.row())
	}
	if w.ours() != "" || len(w.row().Seen) != len(read) {
		t.Errorf("said without knowing what was said: %q, seen %v", w.ours(), w.row().Seen)
	}
	w.forge.SetFault(nil)
	w.look()
	w.wantOurs("because of the label")
}

func TestARefusedCommentOrLabelIsNotInTheWay(t *testing.T) {
	w := newWatched(t)
	locked := &forgetest.Fault{Status: http.StatusForbidden, Body: `{"message":"Unable to create comment because issue is locked."}`}
	w.answering(locked, func(r *http.Request) bool { return writing("/comments")(r) || writing("/labels")(r) })
	w.reports(w.prs()[0].HeadSHA, "failure")
	w.look()
	if got := w.row(); got.Marked == "" || got.Problem != "" {
		t.Errorf("a refused label: marked %q, problem %q", got.Marked, got.Problem)
	}
	if n := w.tel.Count(telemetry.PullRequestFates, string(telemetry.FateRed)); n != 1 {
		t.Errorf("red checks are counted %d times", n)
	}
	w.says("ada", "/sre-agent stop")
	if w.prs()[0].State != "closed" || !w.refused() {
		t.Errorf("a refused comment keeps it open: %+v", w.row())
	}
	w.forge.SetFault(nil)
	w.look()
	w.wantOurs("`stop` of `ada`")
}

func TestALabelThatFailsForAMomentIsCountedOnce(t *testing.T) {
	w := newWatched(t)
	w.answering(&forgetest.Fault{Status: http.StatusBadGateway}, writing("/labels"))
	w.reports(w.prs()[0].HeadSHA, "failure")
	w.look()
	if w.row().Problem == "" {
		t.Error("the failure is not recorded")
	}
	w.forge.SetFault(nil)
	w.look()
	if n := w.tel.Count(telemetry.PullRequestFates, string(telemetry.FateRed)); n != 1 || w.row().Problem != "" {
		t.Errorf("red checks are counted %d times, problem %q", n, w.row().Problem)
	}
}

func TestWhatIsSettledIsSaidToBe(t *testing.T) {
	w := newWatched(t)
	head := w.prs()[0].HeadSHA
	w.reports(head, "failure")
	w.wantOurs("are red")
	w.reports(head, "success")
	w.wantOurs("no longer so")
	if strings.Contains(w.ours(), "are red") {
		t.Errorf("the checks are green:\n%s", w.ours())
	}
}

// rung is how long it is until the watch is due, after so many webhooks about its pull request.
func (w *watched) rung(webhooks int, n store.Nudge) time.Duration {
	w.t.Helper()
	for range webhooks {
		w.events++
		d := store.Delivery{Provider: "github", ID: fmt.Sprint("n", w.events), Event: "issue_comment", BodySHA256: fmt.Sprintf("%064d", w.events), ReceivedAt: time.Now()}
		rec, err := w.st.RecordNudge(w.t.Context(), d, n)
		w.do(err)
		if rec.Outcome != store.OutcomeCoalesced {
			w.t.Fatalf("%+v: %+v", n, rec)
		}
	}
	next, err := w.st.NextWatch(w.t.Context())
	w.do(err)
	return next
}

func TestAStormOfWebhooksIsNoStormOfCalls(t *testing.T) {
	w := newWatched(t)
	pull := store.Nudge{Owner: "ACME", Name: "Hello", Number: 1}
	w.exec("update watches set looked_at = now() - interval '1 hour'")
	if due := w.rung(1, pull); due > 0 {
		t.Errorf("the first webhook is heard after %s", due)
	}
	calls, began := w.answering(nil, api), time.Now()
	for range 10 {
		w.rung(20, pull)
		w.rung(20, store.Nudge{Owner: "acme", Name: "hello", Branch: "main"})
		if _, err := w.watcher.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// One look makes less than 15 calls, and the next one comes 5 seconds later at the soonest.
	if n, most := calls.Load(), 15*(1+int32(time.Since(began)/(5*time.Second))); n == 0 || n > most {
		t.Errorf("400 webhooks make %d calls", n)
	}
	if due := w.rung(1, pull); due <= 0 {
		t.Error("the last webhook is forgotten, or heard at once")
	}
}

func TestAForgeThatSaysWhenToComeAgainIsNotAskedBefore(t *testing.T) {
	for name, fault := range map[string]*forgetest.Fault{
		"a limit with a time":  {Status: http.StatusForbidden, Header: http.Header{"Retry-After": {"1800"}}, Body: secondary},
		"too many requests":    {Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1800"}}},
		"it is down till then": {Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1800"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t)
			w.do(w.forge.CommentAs("ada", "acme", "hello", 1, "/sre-agent stop"))
			w.exec("update watches set looked_at = now() - interval '1 hour'")
			pull := store.Nudge{Owner: "acme", Name: "hello", Number: 1}
			w.rung(1, pull)
			calls := w.answering(fault, func(r *http.Request) bool {
				if api(r) {
					w.rung(1, pull) // a webhook comes in while it is looked at
				}
				return api(r)
			})
			if _, err := w.watcher.RunOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			if due := w.rung(5, pull); due < 29*time.Minute || calls.Load() != 1 || w.row().Tries != 1 {
				t.Errorf("due in %s, after %d calls, %d tries", due, calls.Load(), w.row().Tries)
			}
			w.forge.SetFault(nil)
			w.look()
			if w.prs()[0].State != "closed" || w.row().Tries != 0 {
				t.Errorf("the command is lost: %+v", w.row())
			}
		})
	}
}

func TestHundredsOfCommandsOfAStrangerCostOneQuestion(t *testing.T) {
	w := newWatched(t)
	for i := range 300 {
		w.do(w.forge.CommentAs("eve", "acme", "hello", 1, fmt.Sprintf("/sre-agent off %d \u202e\u200b@everyone", i)))
	}
	w.do(w.forge.CommentAs("ada", "acme", "hello", 1, "/sre-agent stop"))
	asked := w.answering(nil, reading("/permission"))
	w.look()
	if n := asked.Load(); n != 2 || w.prs()[0].State != "closed" || w.row().Closing != watch.ClosingStop {
		t.Errorf("%d questions: %+v", n, w.row())
	}
	w.wantOurs("`stop` of `ada`", "Commands are taken from people who may write")
	if strings.ContainsAny(w.ours(), "\u202e\u200b") || strings.Contains(w.ours(), "@everyone") || len(w.ours()) > 1000 {
		t.Errorf("foreign text in our comment:\n%s", w.ours())
	}
}

func TestNoSecretIsExplained(t *testing.T) {
	w := newWatched(t)
	w.exec("update fixes set evidence = replace(evidence::text, '@octocat', '" + token + "')::jsonb")
	w.says("ada", "/sre-agent why")
	w.wantOurs("### Why", "closes #1")
	if strings.Contains(w.ours(), token) {
		t.Errorf("a secret in our comment:\n%s", w.ours())
	}
}

func TestWhatIsWrittenWaitsForTheForgesLimit(t *testing.T) {
	w := newWatched(t)
	w.watcher.Writes = &publisher.ForgeWrites{Own: &lease.LocalQuota{Now: time.Now}, PerMinute: 10, PerHour: 10, Log: w.tel.Log}
	w.says("ada", "/sre-agent stop") // one call of the one that may be made
	if w.ours() == "" || w.prs()[0].State != "open" || !strings.Contains(w.row().Problem, "as much was written") {
		t.Errorf("the limit does not hold: %s, %+v", w.prs()[0].State, w.row())
	}
	if due := w.rung(1, store.Nudge{Owner: "acme", Name: "hello", Number: 1}); due < time.Minute/2 {
		t.Errorf("it waits for %s", due)
	}
	w.watcher.Writes = nil
	w.look()
	if w.prs()[0].State != "closed" {
		t.Errorf("what has waited is not done: %+v", w.row())
	}
}

// TestWhoHasLostTheLeaseChangesNothing: somebody else takes the row at a request of the look, before the record or after it.
func TestWhoHasLostTheLeaseChangesNothing(t *testing.T) {
	for name, fits := range map[string]func(*http.Request) bool{"before the record": reading("/comments"), "before the comment is recorded": writing("/comments")} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t)
			w.do(w.forge.CommentAs("ada", "acme", "hello", 1, "/sre-agent stop"))
			w.exec("update watches set due = now()")
			w.answering(nil, func(r *http.Request) bool {
				if fits(r) {
					w.exec("update watches set fence = fence + 1, holder = 'another', lease_expires_at = now() + interval '1 minute'")
				}
				return false
			})
			if _, err := w.watcher.RunOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := w.row()
			if got.CommentID != "" || w.prs()[0].State != "open" || *got.Holder != "another" {
				t.Errorf("changed by who holds nothing: %s, %+v", w.prs()[0].State, got)
			}
			w.forge.SetFault(nil)
			w.exec("update watches set lease_expires_at = now() - interval '1 second'")
			w.look()
			if w.wantOurs("`stop` of `ada`"); w.prs()[0].State != "closed" || len(w.row().Commands) != 1 {
				t.Errorf("%+v", w.row())
			}
		})
	}
}
