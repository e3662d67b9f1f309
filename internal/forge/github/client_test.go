package github_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const token = "ghp_verysecrettoken"

// newForge starts a forge with acme/shop, whose branches fix, fix/two and same are pushed.
func newForge(t *testing.T, opts forgetest.Options) (s *forgetest.Server, head string) {
	t.Helper()
	opts.WriteTokens = []string{token}
	opts.ReadTokens = []string{"reader"}
	s, err := forgetest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v := s.Violations(); len(v) > 0 {
			t.Errorf("violations: %q", v)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	re, err := s.CreateRepo("acme", "shop", "main")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	git := gitRunner(t, dir)
	git("init", "-q", "-b", "main")
	write(t, dir, "one")
	git("add", "a.txt")
	git("commit", "-q", "-m", "one")
	git("branch", "same")
	git("checkout", "-q", "-b", "fix")
	write(t, dir, "two")
	git("commit", "-q", "-am", "two")
	url := strings.Replace(re.CloneURL, "http://", "http://x-access-token:"+token+"@", 1)
	git("push", "-q", url, "main", "same", "fix", "fix:fix-two", "fix:dir/fix")
	return s, git("rev-parse", "fix")
}

func gitRunner(t *testing.T, dir string) func(args ...string) string {
	return func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
		return strings.TrimSpace(string(out))
	}
}

func write(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func fix() forge.NewPullRequest {
	return forge.NewPullRequest{Title: "Fix", Head: "fix", Base: "main", Body: "why", Draft: true}
}

func TestCreateThenFindInEveryState(t *testing.T) {
	s, head := newForge(t, forgetest.Options{MaxPerPage: 1})
	c := github.New(s.APIURL(), token, nil)
	var want []forge.PullRequest
	for n := 1; n <= 3; n++ {
		pr, err := c.CreatePullRequest(t.Context(), "acme", "shop", fix())
		if err != nil {
			t.Fatal(err)
		}
		wanted := forge.PullRequest{
			Number: n, URL: fmt.Sprintf("%s/acme/shop/pull/%d", s.URL(), n), State: forge.Open,
			HeadRef: "fix", HeadSHA: head, BaseRef: "main", Author: "sre-agent",
		}
		if diff := cmp.Diff(wanted, pr); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		if n < 3 {
			if err := s.ClosePullRequest("acme", "shop", n); err != nil {
				t.Fatal(err)
			}
			wanted.State = forge.Closed
		}
		want = append([]forge.PullRequest{wanted}, want...)
	}
	if err := s.MergePullRequest("acme", "shop", 3); err != nil {
		t.Fatal(err)
	}
	merge, err := s.BranchHead("acme", "shop", "main")
	if err != nil {
		t.Fatal(err)
	}
	want[0].State, want[0].Merged, want[0].MergeCommit = forge.Closed, true, merge
	other := fix()
	other.Head, other.Base = "fix-two", "same"
	if _, err := c.CreatePullRequest(t.Context(), "acme", "shop", other); err != nil {
		t.Fatal(err)
	}
	got, err := c.FindPullRequests(t.Context(), "acme", "shop", "fix")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if !s.PullRequests("acme", "shop")[0].Draft {
		t.Error("draft was not passed on")
	}
	none, err := c.FindPullRequests(t.Context(), "acme", "shop", "none")
	if err != nil || len(none) != 0 {
		t.Errorf("for a branch without any: %v, %v", none, err)
	}
}

func TestRefusalsOfANewPullRequestHaveNames(t *testing.T) {
	s, _ := newForge(t, forgetest.Options{})
	c := github.New(s.APIURL(), token, nil)
	with := func(head, base string) forge.NewPullRequest {
		pr := fix()
		pr.Head, pr.Base = head, base
		return pr
	}
	if _, err := c.CreatePullRequest(t.Context(), "acme", "shop", fix()); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, repo string
		pr         forge.NewPullRequest
		reason     string
		is         error
	}{
		{"it exists", "shop", fix(), "", forge.ErrExists},
		{"no commits", "shop", with("same", "main"), "no_commits_between", nil},
		{"no base", "shop", with("fix-two", "none"), "base_branch_missing", nil},
		{"a head that is not there yet may come", "shop", with("none", "main"), "", nil},
		{"no title", "shop", forge.NewPullRequest{Head: "fix-two", Base: "main"}, "pull_request_rejected", nil},
		{"no repository", "none", fix(), "repository_not_found", nil},
		{"a hostile name", "..", fix(), "invalid_name", nil},
		{"an escaped hostile name", "%2e%2e", fix(), "repository_not_found", nil},
		{"a name with a slash", "a/b", fix(), "repository_not_found", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := c.CreatePullRequest(t.Context(), "acme", tc.repo, tc.pr)
			reason, _ := fault.Reason(err)
			if err == nil || reason != tc.reason || (tc.is != nil && !errors.Is(err, tc.is)) {
				t.Errorf("error = %v, reason %q; want %q, %v", err, reason, tc.reason, tc.is)
			}
		})
	}
	if err := s.SetArchived("acme", "shop", true); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreatePullRequest(t.Context(), "acme", "shop", with("fix-two", "main"))
	if reason, _ := fault.Reason(err); reason != "repository_archived" {
		t.Errorf("archived: %v", err)
	}
	_, err = github.New(s.APIURL(), "reader", nil).CreatePullRequest(t.Context(), "acme", "shop", fix())
	if reason, _ := fault.Reason(err); reason != "forbidden" {
		t.Errorf("with a read token: %v", err)
	}
	_, err = github.New(s.APIURL(), "wrong", nil).CreatePullRequest(t.Context(), "acme", "shop", fix())
	if reason, _ := fault.Reason(err); reason != "unauthorized" {
		t.Errorf("with a wrong token: %v", err)
	}
	if n := len(s.PullRequests("acme", "shop")); n != 1 {
		t.Errorf("%d pull requests, want 1", n)
	}
}

func TestALostReplyIsTransientAndThePullRequestIsFound(t *testing.T) {
	s, head := newForge(t, forgetest.Options{})
	c := github.New(s.APIURL(), token, nil)
	s.SetFault(func(r *http.Request) *forgetest.Fault {
		if r.Method == http.MethodPost {
			return &forgetest.Fault{AfterEffect: true, Drop: true}
		}
		return nil
	})
	_, err := c.CreatePullRequest(t.Context(), "acme", "shop", fix())
	var retry *httpapi.RetryError
	if !errors.As(err, &retry) {
		t.Fatalf("error = %v, want a RetryError", err)
	}
	found, err := c.FindPullRequests(t.Context(), "acme", "shop", "fix")
	if err != nil || len(found) != 1 || found[0].HeadSHA != head {
		t.Errorf("found %+v, %v", found, err)
	}
	posts := 0
	for _, r := range s.Requests() {
		if strings.HasSuffix(r.Path, "/pulls") {
			posts++
		}
	}
	if posts != 1 {
		t.Errorf("%d POSTs were sent, want 1: a write is never repeated by itself", posts)
	}
}

func TestALimitOnCreatingContentIsTransient(t *testing.T) {
	s, _ := newForge(t, forgetest.Options{})
	s.SetFault(func(*http.Request) *forgetest.Fault {
		return &forgetest.Fault{
			Status: http.StatusForbidden, Header: http.Header{"Retry-After": {"90"}, "Content-Type": {"application/json"}},
			Body: `{"message":"You have exceeded a secondary rate limit and have been temporarily blocked from content creation."}`,
		}
	})
	_, err := github.New(s.APIURL(), token, nil).CreatePullRequest(t.Context(), "acme", "shop", fix())
	var retry *httpapi.RetryError
	if !errors.As(err, &retry) || retry.After != 90*time.Second {
		t.Errorf("error = %v, want to wait 90s", err)
	}
}

func TestBranchHeadAndRepository(t *testing.T) {
	s, head := newForge(t, forgetest.Options{})
	c := github.New(s.APIURL(), token, nil)
	for _, branch := range []string{"fix", "dir/fix"} {
		if got, err := c.BranchHead(t.Context(), "acme", "shop", branch); err != nil || got != head {
			t.Errorf("head of %s = %q, %v; want %s", branch, got, err, head)
		}
	}
	for _, branch := range []string{"none", "fix~0", "%66ix", "fix/../main"} {
		if got, err := c.BranchHead(t.Context(), "acme", "shop", branch); !errors.Is(err, forge.ErrNoBranch) {
			t.Errorf("head of %s = %q, %v; want ErrNoBranch", branch, got, err)
		}
	}
	_, err := c.BranchHead(t.Context(), "acme", "none", "fix")
	if reason, _ := fault.Reason(err); reason != "repository_not_found" || errors.Is(err, forge.ErrNoBranch) {
		t.Errorf("branch of no repository: %v", err)
	}
	got, err := c.Repository(t.Context(), "acme", "shop")
	want := forge.Repository{ID: got.ID, FullName: "acme/shop", DefaultBranch: "main", CanPush: true}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || got.ID == "" {
		t.Errorf("repository %v (-want +got):\n%s", err, diff)
	}
	got, err = github.New(s.APIURL(), "reader", nil).Repository(t.Context(), "acme", "shop")
	if err != nil || got.CanPush {
		t.Errorf("a reader's rights: %+v, %v", got, err)
	}
}

func TestARenamedBranchIsNotTheBranchAskedFor(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/old") {
			http.Redirect(w, r, strings.TrimSuffix(r.URL.Path, "old")+"new", http.StatusMovedPermanently)
			return
		}
		_, _ = io.WriteString(w, `{"name":"new","commit":{"sha":"abc"}}`)
	}))
	defer srv.Close()
	if got, err := github.New(srv.URL, token, nil).BranchHead(t.Context(), "a", "b", "old"); !errors.Is(err, forge.ErrNoBranch) {
		t.Errorf("head = %q, %v; want ErrNoBranch", got, err)
	}
}

func TestFindLeavesOutForksAndOtherBranches(t *testing.T) {
	const list = `[
		{"number":1,"state":"open","head":{"ref":"fix","repo":{"id":1}},"base":{"ref":"main","repo":{"id":1}}},
		{"number":2,"state":"open","head":{"ref":"fix","repo":{"id":2}},"base":{"ref":"main","repo":{"id":1}}},
		{"number":3,"state":"open","head":{"ref":"fix","repo":null},"base":{"ref":"main","repo":{"id":1}}},
		{"number":4,"state":"open","head":{"ref":"other","repo":{"id":1}},"base":{"ref":"main","repo":{"id":1}}}]`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, list) }))
	defer srv.Close()
	got, err := github.New(srv.URL, token, nil).FindPullRequests(t.Context(), "a", "b", "fix")
	if err != nil || len(got) != 1 || got[0].Number != 1 {
		t.Errorf("found %+v, %v; want number 1 alone", got, err)
	}
}

func TestAPullRequestFromAForkIsMadeAndFoundByItsOwner(t *testing.T) {
	t.Parallel()
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.Query().Get("head")+string(body))
		pull := func(n, head int, label string) string {
			return fmt.Sprintf(`{"number":%d,"state":"open","head":{"label":%q,"ref":"sre-agent/x","repo":{"id":%d}},"base":{"ref":"main","repo":{"id":1}}}`, n, label, head)
		}
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, pull(7, 2, "robot:sre-agent/x"))
			return
		}
		_, _ = io.WriteString(w, "["+pull(7, 2, "robot:sre-agent/x")+","+pull(8, 3, "mallory:sre-agent/x")+","+pull(9, 1, "acme:sre-agent/x")+"]")
	}))
	t.Cleanup(srv.Close)
	c := github.New(srv.URL, "token", nil)
	if _, err := c.CreatePullRequest(t.Context(), "acme", "hello", forge.NewPullRequest{Title: "t", Head: "sre-agent/x", HeadOwner: "robot", Base: "main"}); err != nil {
		t.Fatal(err)
	}
	for branch, want := range map[string]int{"robot:sre-agent/x": 7, "sre-agent/x": 9} {
		got, err := c.FindPullRequests(t.Context(), "acme", "hello", branch)
		if err != nil || len(got) != 1 || got[0].Number != want {
			t.Errorf("%s: %+v, %v", branch, got, err)
		}
	}
	if !strings.Contains(asked[0], `"head":"robot:sre-agent/x"`) || !slices.Contains(asked, "GET robot:sre-agent/x") || !slices.Contains(asked, "GET acme:sre-agent/x") {
		t.Errorf("asked %q", asked)
	}
}
