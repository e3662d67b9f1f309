package publisher_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/store"
)

// expected is what is to be left of an answer: how the run ended, the publication's row, how many pull requests there are,
// and which counter says so.
type expected struct {
	state, reason string
	row           string
	prs           int
	counter       string
}

const (
	skipped   = "sre_agent_pr_create_skipped_total/"
	retried   = "sre_agent_pipeline_retry_total/publish"
	endedAs   = "sre_agent_runs_ended_total/"
	secondary = `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
)

func (r *rig) expect(want expected) {
	r.t.Helper()
	got := r.publish(r.Service)
	row := "none"
	pub, err := r.st.Publication(r.t.Context(), r.run.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	if pub != nil {
		row = pub.State
	}
	counter, value, _ := strings.Cut(want.counter, "/")
	if n := r.tel.Count(counter, value); got.State != want.state || got.Reason != want.reason || row != want.row || len(r.prs()) != want.prs || n < 1 {
		r.t.Errorf("%s(%s) %s, row %s, %d pull requests, %s is %d; want %+v", got.State, got.Reason, got.Explanation, row, len(r.prs()), want.counter, n, want)
	}
	if got.Explanation == "" {
		r.t.Error("no explanation")
	}
}

// TestEveryAnswerOfTheForgeHasItsNamedEnding, counter and row: what the forge may say when the pull request is created.
func TestEveryAnswerOfTheForgeHasItsNamedEnding(t *testing.T) {
	no := func(reason string) expected {
		return expected{"blocked", reason, store.PubRefused, 0, endedAs + "blocked"}
	}
	later := expected{"published", "", store.PubOpened, 1, retried}
	says := func(status int, body string) forgetest.Fault { return forgetest.Fault{Status: status, Body: body} }
	invalid := func(detail string) forgetest.Fault {
		return says(422, `{"message":"Validation Failed","errors":[{"resource":"PullRequest",`+detail+`}]}`)
	}
	soon := http.Header{"Retry-After": {"1"}}
	for name, tt := range map[string]struct {
		fault forgetest.Fault
		want  expected
	}{
		"400":                                  {says(400, `{"message":"Problems parsing JSON"}`), no("pull_request_rejected")},
		"401":                                  {says(401, `{"message":"Bad credentials"}`), no("unauthorized")},
		"403 without a sign of a limit":        {says(403, `{"message":"Resource not accessible by personal access token"}`), no("forbidden")},
		"403 archived":                         {says(403, `{"message":"Repository was archived so is read-only."}`), no("repository_archived")},
		"403 secondary limit with Retry-After": {forgetest.Fault{Status: 403, Header: soon, Body: secondary}, later},
		"403 secondary limit without it":       {says(403, secondary), later},
		"403 nothing left until the reset": {
			forgetest.Fault{Status: 403, Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1"}}, Body: `{"message":"API rate limit exceeded"}`}, later,
		},
		"404":                              {says(404, `{"message":"Not Found"}`), no("repository_not_found")},
		"408":                              {says(408, ""), later},
		"409":                              {says(409, `{"message":"Conflict"}`), no("pull_request_rejected")},
		"410 pull requests are disabled":   {says(410, `{"message":"Pull requests are disabled for this repo"}`), no("pull_requests_disabled")},
		"422 no commits between":           {invalid(`"code":"custom","message":"No commits between main and sre-agent/x"`), no("no_commits_between")},
		"422 base is gone":                 {invalid(`"field":"base","code":"invalid"`), no("base_branch_missing")},
		"422 head is not seen yet":         {invalid(`"field":"head","code":"invalid"`), later},
		"422 it exists, and is not listed": {invalid(`"code":"custom","message":"A pull request already exists for acme:x."`), later},
		"422 of another kind":              {invalid(`"field":"title","code":"missing_field"`), no("pull_request_rejected")},
		"422 that is spam":                 {says(422, `{"message":"Validation Failed: was submitted too quickly"}`), no("pull_request_rejected")},
		"429 with Retry-After":             {forgetest.Fault{Status: 429, Header: soon, Body: `{}`}, later},
		"429 without it":                   {says(429, `{}`), later},
		"500":                              {says(500, ""), later},
		"502 from a proxy":                 {says(502, "<html>"), later},
		"503":                              {says(503, ""), later},
		"504":                              {says(504, ""), later},
		"no answer, without an effect":     {forgetest.Fault{Drop: true}, later},
		"no answer, after the effect":      {forgetest.Fault{Drop: true, AfterEffect: true}, expected{"published", "", store.PubAdopted, 1, skipped + "exists_open"}},
		"500 after the effect":             {forgetest.Fault{Status: 500, AfterEffect: true}, expected{"published", "", store.PubAdopted, 1, skipped + "exists_open"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			hit := r.failOnce(tt.fault, creating)
			r.expect(tt.want)
			if !hit() {
				t.Error("it was never said")
			}
		})
	}
}

// TestWhatIsThereAlreadyHasItsOutcomeCounterAndRow: what a publisher may find on the forge when it comes.
func TestWhatIsThereAlreadyHasItsOutcomeCounterAndRow(t *testing.T) {
	// made opens our pull request; its publisher dies before it can say so.
	made := func(r *rig) int {
		r.failOnce(forgetest.Fault{Drop: true, AfterEffect: true}, creating)
		r.once(r.run.ID)
		r.forge.SetFault(nil)
		r.exec("update runs set not_before = now()")
		return r.prs()[0].Number
	}
	for name, tt := range map[string]struct {
		there func(*rig)
		want  expected
	}{
		"nothing":      {func(*rig) {}, expected{"published", "", store.PubOpened, 1, endedAs + "published"}},
		"ours is open": {func(r *rig) { made(r) }, expected{"published", "", store.PubAdopted, 1, skipped + "exists_open"}},
		"ours was closed": {func(r *rig) {
			if err := r.forge.ClosePullRequest("acme", "hello", made(r)); err != nil {
				r.t.Fatal(err)
			}
		}, expected{"blocked", "pull_request_closed", store.PubRefused, 1, skipped + "exists_closed"}},
		"ours was merged": {func(r *rig) {
			if err := r.forge.MergePullRequest("acme", "hello", made(r)); err != nil {
				r.t.Fatal(err)
			}
		}, expected{"published", "", store.PubAdopted, 1, skipped + "exists_merged"}},
		"our branch with our commit": {func(r *rig) {
			r.failOnce(forgetest.Fault{Drop: true, AfterEffect: true}, pushing)
			r.once(r.run.ID)
			r.forge.SetFault(nil)
			r.exec("update runs set not_before = now()")
		}, expected{"published", "", store.PubOpened, 1, retried}},
		"our branch's name with a foreign commit": {func(r *rig) {
			r.git("checkout", "-qb", "foreign")
			r.write("mine.txt", "a person's work\n")
			r.push(r.branch(), "foreign")
		}, expected{"blocked", "branch_taken", store.PubRefused, 0, skipped + "branch_taken"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			tt.there(r)
			before := r.branches()
			r.expect(tt.want)
			if after := r.branches(); before != "" && after != before {
				t.Errorf("the branch was moved: %s, it was %s", after, before)
			}
		})
	}
}

func TestARedirectToAnotherHostEndsTheRunAndDoesNotGetTheToken(t *testing.T) {
	for status, want := range map[int]string{302: "redirected_write", 307: "foreign_redirect"} {
		var calls atomic.Int32
		other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			calls.Add(1)
			for name, values := range req.Header {
				if strings.Contains(strings.Join(values, " "), token) {
					t.Errorf("%d: the token was sent to another host in %s", status, name)
				}
			}
		}))
		t.Cleanup(other.Close)
		r := newRig(t)
		r.failOnce(forgetest.Fault{Status: status, Header: http.Header{"Location": {other.URL + "/x"}}}, creating)
		got := r.publish(r.Service)
		if got.State != "blocked" || len(r.prs()) != 0 || calls.Load() != 0 {
			t.Errorf("%d: %s(%s) %s, %d pull requests, the other host was called %d times", status, got.State, got.Reason, got.Explanation, len(r.prs()), calls.Load())
		}
		if got.Reason != want {
			t.Errorf("%d: the reason is %s, want %s", status, got.Reason, want)
		}
	}
}
