package chaos

import (
	"strings"
	"testing"
	"time"
)

var zero = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// at is a moment of the made-up histories.
func at(seconds float64) time.Time {
	return zero.Add(time.Duration(seconds * float64(time.Second)))
}

const head, base = "1111", "0000"

// good is a history in which every promise held: run 1 was published at once, run 2 after a crash, run 3 crashed
// until it was blocked, run 4 was given back once, run 5 has run 1's fingerprint.
func good() History {
	return History{
		Limits: Limits{MaxAttempts: 2, BaseBackoff: time.Second, MaxBackoff: 2 * time.Second, Cooldown: 3 * time.Second, PerRepository: 2, Open: 2},
		Sent: []Sent{
			{ID: "d1", Accepted: true, RunKey: "k1"},
			{ID: "d2", Accepted: true, RunKey: "k2"},
			{ID: "d3", Accepted: true, RunKey: "k3"},
			{ID: "d4", Accepted: true, RunKey: "k4"},
			{ID: "d5", Accepted: true, RunKey: "k5"},
			{ID: "push", Accepted: true},
			{ID: "forged", Rejected: true},
			{ID: "lost"},
		},
		StreamIDs: []string{"d1", "d2", "d3", "d4", "d5", "push"},
		Deliveries: []Delivery{
			{"d1", "run", "", 1}, {"d2", "run", "", 2}, {"d3", "run", "", 3}, {"d4", "run", "", 4}, {"d5", "run", "", 5}, {"push", "ignored", "event_not_used", 0},
		},
		Failures: []Failure{{RunKey: "k1", Fixable: true}, {RunKey: "k2", Fixable: true}, {RunKey: "k3", Fixable: true}, {RunKey: "k4", Fixable: true}, {RunKey: "k5"}},
		Runs: []Run{
			{ID: 1, Key: "k1", Repository: "o/r", State: "published", Fence: 2, AttemptCount: 1, Ended: true, Fingerprint: "f1"},
			{ID: 2, Key: "k2", Repository: "o/r", State: "published", Fence: 3, AttemptCount: 2, Ended: true, Fingerprint: "f2"},
			{ID: 3, Key: "k3", Repository: "o/s", State: "blocked", Reason: "max_attempts", Fence: 2, AttemptCount: 2, Ended: true},
			{ID: 4, Key: "k4", Repository: "o/s", State: "published", Fence: 3, AttemptCount: 1, Ended: true},
			{ID: 5, Key: "k5", Repository: "o/r", State: "superseded", Reason: "same_failure", Fence: 2, AttemptCount: 1, Ended: true, Fingerprint: "f1"},
		},
		Attempts: []Attempt{
			{RunID: 1, Fence: 1, Number: 1, Started: at(0), Ended: at(2), Outcome: "fixed", PID: 10},
			{RunID: 2, Fence: 1, Number: 1, Started: at(0), Ended: at(3), Outcome: "crashed", PID: 11},
			{RunID: 2, Fence: 2, Number: 2, Started: at(4), Ended: at(5), Outcome: "fixed", PID: 10},
			{RunID: 3, Fence: 1, Number: 1, Started: at(0), Ended: at(3), Outcome: "crashed", PID: 11},
			{RunID: 3, Fence: 2, Number: 2, Started: at(4), Ended: at(8), Outcome: "crashed", PID: 12},
			{RunID: 4, Fence: 1, Started: at(1), Ended: at(2), Outcome: "given_back", PID: 10},
			{RunID: 4, Fence: 2, Number: 1, Started: at(2.5), Ended: at(4), Outcome: "fixed", PID: 10},
			{RunID: 5, Fence: 1, Number: 1, Started: at(6), Ended: at(7), Outcome: "fixed", PID: 10},
		},
		Fixes: []Fix{
			{RunID: 1, Fence: 1, Digest: "x1", Sum: "x1", Base: base},
			{RunID: 2, Fence: 2, Digest: "x2", Sum: "x2", Base: base},
			{RunID: 4, Fence: 2, Digest: "x4", Sum: "x4", Base: base},
			{RunID: 5, Fence: 1, Digest: "x5", Sum: "x5", Base: base},
		},
		Publications: []Publication{
			{RunID: 1, State: "opened", Branch: "sre-agent/1", Commit: head, Digest: "x1", PRNumber: 1},
			{RunID: 2, State: "adopted", Branch: "sre-agent/2", Commit: head, Digest: "x2", PRNumber: 2},
			{RunID: 4, State: "opened", Branch: "sre-agent/4", Commit: head, Digest: "x4", PRNumber: 1},
		},
		PullRequests: []PullRequest{
			{Repository: "o/r", Number: 1, Head: "sre-agent/1", HeadSHA: head, Open: true, RunKey: "k1", Parent: base, Applied: true},
			{Repository: "o/r", Number: 2, Head: "sre-agent/2", HeadSHA: head, Open: true, RunKey: "k2", Parent: base, Applied: true},
			{Repository: "o/s", Number: 1, Head: "sre-agent/4", HeadSHA: head, Open: true, RunKey: "k4", Parent: base, Applied: true},
		},
		Pushes: []Push{
			{"o/r", "refs/heads/sre-agent/1", "0000", head, true},
			{"o/r", "refs/heads/sre-agent/2", "0000", head, true},
			{"o/s", "refs/heads/sre-agent/4", "0000", head, true},
		},
		Creations: []Creation{{"o/r", 3, 2, 1}, {"o/s", 1, 1, 0}},
		Sandboxes: []Sandbox{
			{RunID: 1, Fence: 1, First: 1, Last: 20}, {RunID: 2, Fence: 1, First: 1, Last: 30}, {RunID: 2, Fence: 2, First: 30, Last: 50},
		},
		Counts: []Count{{Series: Series{"c", "exact"}, Counted: 2, Recounted: 2, Sure: 2}, {Series: Series{"c", "one lost in a crash"}, Counted: 2, Recounted: 3, Sure: 1}},
		Holds: []Hold{
			{Repository: "o/r", From: at(2.5), To: at(3.9)},
			{Repository: "o/s", From: at(5), Off: true},
		},
		Outages: []Outage{{PID: 11, What: "killed", At: at(1)}, {PID: 12, What: "paused", At: at(4.5)}},
	}
}

func TestAGoodHistoryBreaksNoPromise(t *testing.T) {
	if found := Check(good()); len(found) != 0 {
		t.Errorf("found %q", found)
	}
}

func TestAFailureOfARepositoryThatIsOffMayBeLeftAlone(t *testing.T) {
	h := good()
	h.Sent = append(h.Sent, Sent{ID: "d6", Accepted: true, RunKey: "k6"}, Sent{ID: "d7", Accepted: true, RunKey: "k6"})
	h.Deliveries = append(h.Deliveries, Delivery{"d6", "ignored", "repository_off", 0}, Delivery{"d7", "duplicate", "same_body", 0})
	h.Failures = append(h.Failures, Failure{RunKey: "k6"})
	if found := Check(h); len(found) != 0 {
		t.Errorf("found %q", found)
	}
}

func TestEveryBrokenPromiseIsFound(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(h *History)
		want  string
	}{
		{"an accepted delivery has no record", func(h *History) { h.Deliveries = h.Deliveries[1:] }, "I1: delivery d1 was answered 2xx and has 0 records"},
		{"a delivery has two records", func(h *History) { h.Deliveries = append(h.Deliveries, h.Deliveries[0]) }, "I1: delivery d1 was answered 2xx and has 2 records"},
		{"a record has no reason", func(h *History) { h.Deliveries[5].Reason = "" }, "I1: delivery push is recorded as ignored()"},
		{"a record has an outcome that nobody knows", func(h *History) { h.Deliveries[0].Outcome = "later" }, "I1: delivery d1 is recorded as later()"},
		{"a record is of the wrong run", func(h *History) { h.Deliveries[0].RunID = 2 }, "I1: delivery d1 is recorded as run() of run 2"},
		{"a record is of no delivery", func(h *History) { h.Deliveries = append(h.Deliveries, Delivery{"ghost", "ignored", "ping", 0}) }, "I1: delivery ghost is recorded and was never sent"},
		{"a run has not ended", func(h *History) { h.Runs[0].Ended = false }, "I1: run 1"},
		{"a run ended without a reason", func(h *History) { h.Runs[2].Reason = "" }, "I1: run 3"},
		{"a run ended for a reason that no crash explains", func(h *History) { h.Runs[2].Reason = "dependency_failed" }, "I1: run 3"},
		{"a run is blocked before its attempts are used", func(h *History) { h.Limits.MaxAttempts = 3 }, "I1: run 3"},
		{"a run has two pull requests", func(h *History) {
			pr := h.PullRequests[0]
			pr.Number = 3
			h.PullRequests = append(h.PullRequests, pr)
		}, "I2: 2 pull requests of run key k1"},
		{"a branch has two pull requests", func(h *History) { h.PullRequests[1].Head = "sre-agent/1" }, "I2: 2 pull requests of branch o/r sre-agent/1"},
		{"a published run has no pull request", func(h *History) { h.PullRequests = h.PullRequests[1:] }, "I2: run 1 (k1) published() has 0 pull requests"},
		{"a receipt names another pull request", func(h *History) { h.Publications[0].PRNumber = 7 }, "I2: run 1 (k1) published() has a receipt for pull request 7"},
		{"a pull request is at another commit", func(h *History) { h.PullRequests[0].HeadSHA = "2222" }, "I2: run 1 (k1) published() intended commit 1111"},
		{"a pull request is of no run", func(h *History) { h.PullRequests[0].RunKey = "k9" }, "I2: pull request o/r#1 is of no run"},
		{"a refused run has a receipt", func(h *History) { h.Runs[0].State, h.Runs[0].Reason = "blocked", "x" }, "I2: run 1 (k1) blocked(x) has a receipt"},
		{"a run is published from a person's branch", func(h *History) { h.Failures[0].Foreign = "3333" }, "I2: run 1 (k1) published(), and its branch held a person's commit"},
		{"two open pull requests have one fingerprint", func(h *History) { h.Runs[1].Fingerprint = "f1" }, "I2: open pull requests of fingerprint f1: o/r#1, o/r#2"},
		{"a run has too many attempts", func(h *History) { h.Limits.MaxAttempts = 1 }, "I3: run 2 (k2) published() has 2 counted attempts"},
		{"a run miscounts its attempts", func(h *History) { h.Runs[0].AttemptCount = 2 }, "I3: run 1 (k1) published() says 2 attempts"},
		{"an attempt's number is left out", func(h *History) { h.Attempts[0].Number = 2 }, "I3: run 1 (k1) published() has no attempt 1"},
		{"an attempt is made after one that did not crash", func(h *History) { h.Attempts[1].Outcome = "fixed" }, "I3: run 2 (k2) published(): attempt 1 ended fixed"},
		{"an attempt is counted that nobody killed", func(h *History) { h.Outages = h.Outages[:1] }, "I3: run 3 (k3) blocked(max_attempts): attempt 2 (fence 2) counts as crashed"},
		{"an attempt's process was killed only later", func(h *History) { h.Outages[0].At = at(3.5) }, "I3: run 2 (k2) published(): attempt 1 (fence 1) counts as crashed"},
		{"two attempts overlap", func(h *History) { h.Attempts[1].Ended = at(4.5) }, "I4: run 2 (k2) published(): the attempts of fences 1 and 2 overlap"},
		{"fences and times run against each other", func(h *History) { h.Attempts[5].Fence, h.Attempts[6].Fence = 2, 1 }, "I4: run 4"},
		{"a run's fence fell", func(h *History) { h.Runs[0].Fence = 0 }, "I4: run 1 (k1) published() has fence 0"},
		{"an ended run has an open attempt", func(h *History) { h.Attempts[0].Ended = time.Time{} }, "I4: run 1 (k1) published() ended, and its attempt"},
		{"a fix is written under a stale fence", func(h *History) { h.Fixes[1].Fence = 1 }, "I4: run 2 (k2) published() has a fix of fence 1"},
		{"two sandboxes of a run ran at once", func(h *History) { h.Sandboxes[2].First = 28 }, "I4: run 2 (k2) published(): sandboxes of fences 1 and 2"},
		{"an attempt began before its backoff was over", func(h *History) { h.Attempts[2].Started = at(3.9) }, "I5: run 2 (k2) published(): attempt 2 began 100ms before the backoff"},
		{"an attempt began before its cooldown was over", func(h *History) { h.Limits.Cooldown = 5 * time.Second }, "I5: run 2 (k2) published(): attempt 2 began 1s before the cooldown"},
		{"a repository has too many active runs", func(h *History) { h.Limits.PerRepository = 1 }, "I6: o/r has 2 active runs"},
		{"a counter counts what no record has", func(h *History) {
			h.Counts = []Count{{Series: Series{"c", "r"}, Counted: 2, Recounted: 1, Sure: 1}}
		}, "I7: c{reason=r} counted 2"},
		{"a count is lost though nothing was disturbed", func(h *History) {
			h.Counts = []Count{{Series: Series{"c", "r"}, Counted: 1, Recounted: 3, Sure: 2}}
		}, "I7: c{reason=r} counted 1"},
		{"pull requests are asked for too often", func(h *History) { h.Creations[0].Asked = 4 }, "I8: o/r: 4 requests to open a pull request"},
		{"more pull requests were open at once than may be", func(h *History) { h.Limits.Open = 1 }, "I8: o/r had 2 open pull requests when #1 was opened; the cap is 1"},
		{"an attempt began in a paused repository", func(h *History) { h.Holds[0].To = at(4.1) }, "I8: run 2 (k2) published(): attempt of fence 2 (fixed) began"},
		{"a fix was made for a repository that was off", func(h *History) { h.Holds[1].From = at(2) }, "I8: run 4 (k4) published(): attempt of fence 2 (fixed) began"},
		{"a failure is left alone and nobody wanted that", func(h *History) {
			h.Deliveries[0] = Delivery{"d1", "ignored", "repository_off", 0}
			h.Holds = nil
		}, "I1: delivery d1 is recorded as ignored(repository_off)"},
		{"a failure is a duplicate of nothing", func(h *History) { h.Deliveries[0] = Delivery{"d1", "duplicate", "same_body", 0} }, "I1: delivery d1 is recorded as duplicate(same_body)"},
		{"more pull requests were opened than intended", func(h *History) { h.Creations[0].Opened = 3 }, "I8: o/r: 3 pull requests opened"},
		{"a refused request left a row", func(h *History) { h.Deliveries = append(h.Deliveries, Delivery{"forged", "ignored", "ping", 0}) }, "I9: delivery forged was refused and left 1 rows"},
		{"a refused request left a message", func(h *History) { h.StreamIDs = append(h.StreamIDs, "forged") }, "I9: delivery forged was refused and left 0 rows, message: true"},
		{"a secret leaked", func(h *History) { h.Leaks = []Leak{{"the read token", "a log"}} }, "I10: the read token is in a log"},
		{"a stored diff was changed", func(h *History) { h.Fixes[0].Sum = "y" }, "I11: run 1"},
		{"another diff is published than the one verified", func(h *History) { h.Publications[0].Digest = "y" }, "I11: run 1"},
		{"a branch holds more than the diff", func(h *History) { h.PullRequests[0].Applied = false }, "I11: pull request o/r#1"},
		{"a branch has another base", func(h *History) { h.PullRequests[0].Parent = "3333" }, "I11: pull request o/r#1"},
		{"a branch of somebody else is pushed", func(h *History) { h.Pushes[0].Ref = "refs/heads/main" }, "I11: o/r: refs/heads/main was pushed"},
		{"a branch is moved", func(h *History) { h.Pushes[0].Old = "2222" }, "I11: o/r: refs/heads/sre-agent/1 was moved"},
		{"a commit is pushed that nobody intended", func(h *History) { h.Pushes[0].New = "2222" }, "I11: o/r: refs/heads/sre-agent/1 was pushed at 2222"},
		{"a program broke", func(h *History) { h.Broken = []string{"runner-1.log: panic: x"} }, "broken: runner-1.log: panic: x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := good()
			tc.spoil(&h)
			found := Check(h)
			for _, f := range found {
				if strings.HasPrefix(f, tc.want) {
					return
				}
			}
			t.Errorf("want %q, found %q", tc.want, found)
		})
	}
}

func TestEndsAndBeginningsAtOneMomentAreNotTogetherActive(t *testing.T) {
	h := good()
	h.Limits.PerRepository = 2
	h.Attempts[7].Started = at(5) // just when run 2's ends
	if found := Check(h); len(found) != 0 {
		t.Errorf("found %q", found)
	}
}

func TestSecretsAreFoundAsTheyAreAndAsCredentials(t *testing.T) {
	secrets := map[string]string{"the token": "s3cret-token"}
	for _, tc := range []struct {
		name, text string
		want       int
	}{
		{"as it is", "Authorization: Bearer s3cret-token", 1},
		{"as credentials of git", "Basic eC1hY2Nlc3MtdG9rZW46czNjcmV0LXRva2Vu", 1},
		{"not there", "Authorization: [redacted]", 0},
	} {
		if found := FindSecrets("x", []byte(tc.text), secrets); len(found) != tc.want {
			t.Errorf("%s: found %v", tc.name, found)
		}
	}
}
