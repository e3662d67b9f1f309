package forgetest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

// ask sends one API request and returns the status and the JSON of the answer.
func ask(t *testing.T, s *forgetest.Server, method, path, token, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.APIURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if !bytes.HasPrefix(raw, []byte("[")) {
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatalf("%s %s: %s", method, path, raw)
		}
	}
	return resp.StatusCode, out
}

// seed pushes main and one branch with a commit more, and returns the two commits.
func seed(t *testing.T, re forgetest.Repo, branch string) (work, main, head string) {
	t.Helper()
	work = t.TempDir()
	main = commit(t, work, "main", "a.txt", "one\n")
	head = commit(t, work, branch, "a.txt", "two\n")
	git(t, work, writer, "push", "-q", re.CloneURL, "main", branch)
	return work, main, head
}

const pull = `{"title":"Fix it","head":"fix","base":"main","body":"why"}`

func TestAPullRequestFollowsItsBranchUntilItIsClosed(t *testing.T) {
	s, re := startForge(t)
	work, main, head := seed(t, re, "fix")
	status, got := ask(t, s, "POST", "/repos/acme/shop/pulls", writer, pull)
	if status != 201 || got["html_url"] != s.URL()+"/acme/shop/pull/1" {
		t.Fatalf("create: %d %v", status, got)
	}
	pr := func() forgetest.PR { return s.PullRequests("acme", "shop")[0] }
	if p := pr(); p.HeadSHA != head || p.BaseSHA != main || p.State != "open" || p.Title != "Fix it" || p.Body != "why" {
		t.Errorf("pull request = %+v", p)
	}
	second := commit(t, work, "fix", "a.txt", "three\n")
	git(t, work, writer, "push", "-q", re.CloneURL, "fix")
	if p := pr(); p.HeadSHA != second {
		t.Errorf("head is %s, want %s", p.HeadSHA, second)
	}
	if err := s.ClosePullRequest("acme", "shop", 1); err != nil {
		t.Fatal(err)
	}
	commit(t, work, "fix", "a.txt", "four\n")
	git(t, work, writer, "push", "-q", re.CloneURL, "fix")
	if p := pr(); p.HeadSHA != second || p.State != "closed" || p.Merged {
		t.Errorf("a closed pull request moved: %+v", p)
	}
	if err := s.ClosePullRequest("acme", "shop", 1); err == nil {
		t.Error("a closed pull request was closed again")
	}
	if status, got := ask(t, s, "POST", "/repos/acme/shop/pulls", writer, pull); status != 201 || got["number"] != 2.0 {
		t.Errorf("a new one after the closed one: %d %v", status, got["number"])
	}
	git(t, work, writer, "push", "-q", re.CloneURL, ":fix")
	if p := s.PullRequests("acme", "shop")[1]; p.State != "closed" {
		t.Errorf("deleting the branch left it %s", p.State)
	}
	assertFits(t, s)
}

func TestMergeMakesAMergeCommit(t *testing.T) {
	s, re := startForge(t)
	_, main, head := seed(t, re, "fix")
	ask(t, s, "POST", "/repos/acme/shop/pulls", writer, pull)
	if err := s.MergePullRequest("acme", "shop", 1); err != nil {
		t.Fatal(err)
	}
	clone := t.TempDir()
	git(t, clone, reader, "clone", "-q", re.CloneURL, ".")
	if got := git(t, clone, "", "log", "-1", "--format=%P"); got != main+" "+head {
		t.Errorf("parents of main = %s", got)
	}
	if p := s.PullRequests("acme", "shop")[0]; !p.Merged || p.State != "closed" {
		t.Errorf("pull request = %+v", p)
	}
	if status, _ := ask(t, s, "GET", "/repos/acme/shop/pulls?state=closed", reader, ""); status != 200 {
		t.Errorf("list: %d", status)
	}
	assertFits(t, s)
}

func TestRefusalsReadLikeGitHubs(t *testing.T) {
	s, re := startForge(t)
	work, _, _ := seed(t, re, "fix")
	git(t, work, writer, "push", "-q", re.CloneURL, "main:refs/heads/same")
	ask(t, s, "POST", "/repos/acme/shop/pulls", writer, pull)
	custom := func(text string) map[string]any {
		return map[string]any{"resource": "PullRequest", "code": "custom", "message": text}
	}
	for _, tc := range []struct {
		name, body string
		want       map[string]any
	}{
		{"an open one exists", pull, custom("A pull request already exists for acme:fix.")},
		{"the same head with its owner", `{"title":"x","head":"acme:fix","base":"main"}`, custom("A pull request already exists for acme:fix.")},
		{"no commits", `{"title":"x","head":"same","base":"main"}`, custom("No commits between main and same")},
		{"no head", `{"title":"x","head":"none","base":"main"}`, map[string]any{"resource": "PullRequest", "field": "head", "code": "invalid"}},
		{"an expression is no branch", `{"title":"x","head":"fix~0","base":"main"}`, map[string]any{"resource": "PullRequest", "field": "head", "code": "invalid"}},
		{"no base", `{"title":"x","head":"fix","base":"none"}`, map[string]any{"resource": "PullRequest", "field": "base", "code": "invalid"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, got := ask(t, s, "POST", "/repos/acme/shop/pulls", writer, tc.body)
			want := map[string]any{
				"message": "Validation Failed", "errors": []any{tc.want}, "status": "422",
				"documentation_url": "https://docs.github.com/rest/pulls/pulls#create-a-pull-request",
			}
			if diff := cmp.Diff(want, got); status != 422 || diff != "" {
				t.Errorf("status %d (-want +got):\n%s", status, diff)
			}
		})
	}
	if n := len(s.PullRequests("acme", "shop")); n != 1 {
		t.Errorf("%d pull requests, want 1", n)
	}
	assertFits(t, s)
}

func TestWhoMayDoWhat(t *testing.T) {
	s, re := startForge(t)
	seed(t, re, "fix")
	for _, tc := range []struct {
		name, method, path, token string
		want                      int
	}{
		{"a reader reads", "GET", "/repos/acme/shop", reader, 200},
		{"a reader does not write", "POST", "/repos/acme/shop/pulls", reader, 403},
		{"a stranger sees nothing", "GET", "/repos/acme/shop", "", 404},
		{"a wrong token", "GET", "/repos/acme/shop", "wrong", 401},
		{"an unknown repository", "GET", "/repos/acme/none", writer, 404},
		{"a post to an unknown repository", "POST", "/repos/acme/none/pulls", writer, 404},
		{"names know no case", "GET", "/repos/ACME/Shop", reader, 200},
		{"an escaped way out is a name", "GET", "/repos/acme/%2e%2e", reader, 404},
		{"an escaped slash is part of a name", "GET", "/repos/acme%2Fshop/shop", reader, 404},
		{"a branch", "GET", "/repos/acme/shop/branches/fix", reader, 200},
		{"no such branch", "GET", "/repos/acme/shop/branches/none", reader, 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := ""
			if tc.method == "POST" {
				body = pull
			}
			if status, got := ask(t, s, tc.method, tc.path, tc.token, body); status != tc.want {
				t.Errorf("status %d, want %d: %v", status, tc.want, got)
			}
		})
	}
	if n := len(s.PullRequests("acme", "shop")); n != 0 {
		t.Errorf("%d pull requests, want none", n)
	}
	assertFits(t, s)
}

func TestWhatDoesNotFitTheDescriptionIsAViolation(t *testing.T) {
	for _, tc := range []struct{ name, method, path, body string }{
		{"an unknown call", "GET", "/repos/acme/shop/nothing", ""},
		{"a call of another method", "DELETE", "/repos/acme/shop", ""},
		{"a state that does not exist", "GET", "/repos/acme/shop/pulls?state=any", ""},
		{"a page that is no number", "GET", "/repos/acme/shop/pulls?page=two", ""},
		{"an unknown parameter", "GET", "/repos/acme/shop/pulls?branch=fix", ""},
		{"a run id that is no number", "GET", "/repos/acme/shop/actions/runs/x/jobs", ""},
		{"a body without its base", "POST", "/repos/acme/shop/pulls", `{"title":"x","head":"fix"}`},
		{"a field of a wrong type", "POST", "/repos/acme/shop/pulls", `{"title":1,"head":"fix","base":"main"}`},
		{"an unknown field", "POST", "/repos/acme/shop/pulls", `{"title":"x","head":"fix","base":"main","description":"y"}`},
		{"a body that is not JSON", "POST", "/repos/acme/shop/pulls", `{"title"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := startForge(t)
			status, got := ask(t, s, tc.method, tc.path, writer, tc.body)
			if status != 500 || len(s.Violations()) != 1 || got["message"] != s.Violations()[0] {
				t.Errorf("status %d %v, violations %q", status, got, s.Violations())
			}
		})
	}
}

func TestConcurrentCreatesMakeOnePullRequest(t *testing.T) {
	s, re := startForge(t)
	seed(t, re, "fix")
	statuses := make([]int, 8)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() { statuses[i], _ = ask(t, s, "POST", "/repos/acme/shop/pulls", writer, pull) })
	}
	wg.Wait()
	count := map[int]int{}
	for _, st := range statuses {
		count[st]++
	}
	if diff := cmp.Diff(map[int]int{201: 1, 422: 7}, count); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if n := len(s.Requests()); n != 1+8 {
		t.Errorf("%d mutations on record, want a push and 8 posts", n)
	}
}

func TestAFaultMayAnswerBeforeOrAfterTheEffect(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault forgetest.Fault
		want  int
		pulls int
	}{
		{"an answer in place of the effect", forgetest.Fault{Status: 502, Body: `{"message":"down"}`}, 502, 0},
		{"an answer after the effect", forgetest.Fault{Status: 504, Body: `{"message":"late"}`, AfterEffect: true}, 504, 1},
		{"no answer and no effect", forgetest.Fault{Drop: true}, 0, 0},
		{"no answer but the effect", forgetest.Fault{Drop: true, AfterEffect: true}, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, re := startForge(t)
			seed(t, re, "fix")
			s.SetFault(func(r *http.Request) *forgetest.Fault {
				if r.Method != http.MethodPost {
					return nil
				}
				f := tc.fault
				f.Header = http.Header{"X-Fault": {"yes"}}
				return &f
			})
			req, _ := http.NewRequest(http.MethodPost, s.APIURL()+"/repos/acme/shop/pulls", strings.NewReader(pull))
			req.Header.Set("Authorization", "Bearer "+writer)
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			got := 0
			if err == nil {
				_ = resp.Body.Close()
				got = resp.StatusCode
				if resp.Header.Get("X-Fault") != "yes" {
					t.Error("the fault's header is missing")
				}
			}
			if n := len(s.PullRequests("acme", "shop")); got != tc.want || n != tc.pulls {
				t.Errorf("status %d (%v), %d pull requests; want %d, %d", got, err, n, tc.want, tc.pulls)
			}
			last := s.Requests()[len(s.Requests())-1]
			if last.Method != "POST" || last.Dropped != tc.fault.Drop || !strings.HasSuffix(last.Path, "/pulls") {
				t.Errorf("on record: %+v", last)
			}
		})
	}
}

func TestEachRepositoryCountsItsOwnPullRequests(t *testing.T) {
	s, re := startForge(t)
	other, err := s.CreateRepo("acme", "site", "main")
	if err != nil {
		t.Fatal(err)
	}
	seed(t, re, "fix")
	seed(t, other, "fix")
	for _, name := range []string{"shop", "site"} {
		if _, got := ask(t, s, "POST", fmt.Sprintf("/repos/acme/%s/pulls", name), writer, pull); got["number"] != 1.0 {
			t.Errorf("%s: number %v, want 1", name, got["number"])
		}
	}
	if re.ID == other.ID {
		t.Error("two repositories share an id")
	}
}

func assertFits(t *testing.T, s *forgetest.Server) {
	t.Helper()
	if v := s.Violations(); len(v) > 0 {
		t.Errorf("violations: %q", v)
	}
}
