package gitea_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/giteatest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
	"github.com/sre-agent/sre-agent/internal/forge/gitea"
)

// answering is a server with one answer for each path below /api/v1/repos/a/b.
func answering(t *testing.T, answers map[string]string) *gitea.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[strings.TrimPrefix(r.URL.Path, "/api/v1/repos/a/b")]
		if !ok || (r.URL.Query().Get("page") > "1" && strings.HasPrefix(text, "[")) {
			text = "[]"
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(srv.Close)
	return gitea.New(srv.URL+"/", "token", nil)
}

func TestAPullRequestIsReadForWhatItIs(t *testing.T) {
	const form = `{"number":7,"state":"%s","title":"x","draft":%t,"merged":%t,"mergeable":%t,"merge_commit_sha":%s,
		"head":{"label":"fix","ref":"%s","sha":"abc","repo_id":%d},"base":{"label":"main","ref":"main","repo_id":1}}`
	for _, tc := range []struct {
		name string
		text string
		want forge.PullRequest
	}{
		{"a draft is never mergeable, which says nothing of conflicts", fmt.Sprintf(form, "open", true, false, false, "null", "fix", 1), forge.PullRequest{State: forge.Open}},
		{"one that is not mergeable conflicts", fmt.Sprintf(form, "open", false, false, false, "null", "fix", 1), forge.PullRequest{State: forge.Open, Conflicts: true}},
		{"a closed one conflicts with nothing", fmt.Sprintf(form, "closed", false, false, false, "null", "fix", 1), forge.PullRequest{State: forge.Closed}},
		{"a merged one has its commit", fmt.Sprintf(form, "closed", false, true, false, `"def"`, "fix", 1), forge.PullRequest{State: forge.Closed, Merged: true, MergeCommit: "def"}},
		{"the branch is gone", fmt.Sprintf(form, "closed", false, false, false, "null", "refs/pull/7/head", 1), forge.PullRequest{State: forge.Closed}},
		{"the fork is gone", fmt.Sprintf(form, "open", false, false, true, "null", "fix", -1), forge.PullRequest{State: forge.Open, FromFork: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := answering(t, map[string]string{"/pulls/7": tc.text}).PullRequest(t.Context(), "a", "b", 7)
			tc.want.Number, tc.want.HeadRef, tc.want.HeadSHA, tc.want.BaseRef = 7, "fix", "abc", "main"
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestHunksAreThoseOfTheirFileWhateverIsInThem(t *testing.T) {
	const diff = "diff --git a/a.txt b/a.txt\nindex 1..2 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,3 @@\n--- a/evil\n+++ b/evil\n+diff --git a/evil b/evil\n\\ No newline at end of file\n" +
		"diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n" +
		"diff --git \"a/\\303\\244.txt\" \"b/\\303\\244.txt\"\nnew file mode 100644\n--- /dev/null\n+++ \"b/\\303\\244.txt\"\n@@ -0,0 +1 @@\n+y\n" +
		"diff --git a/sp ace b/sp ace\n--- a/sp ace\t\n+++ b/sp ace\t\n@@ -1 +1 @@\n-1\n+2\n" +
		"diff --git a/mode b/mode\nold mode 100644\nnew mode 100755\n" +
		"diff --git a/bin b/bin\nBinary files a/bin and b/bin differ\n"
	names := []string{"a.txt", "gone", "ä.txt", "sp ace", "mode", "bin", "evil"}
	var files []map[string]string
	for _, n := range names {
		files = append(files, map[string]string{"filename": n})
	}
	list, _ := json.Marshal(files)
	got, err := answering(t, map[string]string{"/pulls/7/files": string(list), "/pulls/7.diff": diff}).ChangedFiles(t.Context(), "a", "b", 7)
	if err != nil {
		t.Fatal(err)
	}
	want := []forge.FileChange{
		{Path: "a.txt", Hunks: "@@ -1,2 +1,3 @@\n--- a/evil\n+++ b/evil\n+diff --git a/evil b/evil\n\\ No newline at end of file\n"},
		{Path: "gone", Hunks: "@@ -1 +0,0 @@\n-x\n"},
		{Path: "ä.txt", Hunks: "@@ -0,0 +1 @@\n+y\n"},
		{Path: "sp ace", Hunks: "@@ -1 +1 @@\n-1\n+2\n"},
		{Path: "mode"},
		{Path: "bin"},
		{Path: "evil"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestADiffThatIsTooLargeHasNoHunks(t *testing.T) {
	c := answering(t, map[string]string{
		"/pulls/7/files": `[{"filename":"a.txt"}]`,
		"/pulls/7.diff":  "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n" + strings.Repeat("+x\n", 3<<20),
	})
	got, err := c.ChangedFiles(t.Context(), "a", "b", 7)
	if diff := cmp.Diff([]forge.FileChange{{Path: "a.txt"}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestEachStatusCountsAsTheServersTakeIt(t *testing.T) {
	for states, want := range map[string]forge.Checks{
		"":                  forge.ChecksNone,
		"success":           forge.ChecksGreen,
		"success,warning":   forge.ChecksGreen,
		"success,skipped":   forge.ChecksGreen,
		"success,pending":   forge.ChecksPending,
		"pending,error":     forge.ChecksRed,
		"failure,success":   forge.ChecksRed,
		"success,unheardof": forge.ChecksPending,
	} {
		var statuses []map[string]string
		for i, s := range strings.Split(states, ",") {
			if s != "" {
				statuses = append(statuses, map[string]string{"context": fmt.Sprint("ci", i), "status": s})
			}
		}
		text, _ := json.Marshal(map[string]any{"state": "whatever", "statuses": statuses})
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("page") != "1" {
				_, _ = io.WriteString(w, `{"state":"","statuses":null}`)
				return
			}
			_, _ = w.Write(text)
		}))
		got, err := gitea.New(srv.URL, "token", nil).CommitChecks(t.Context(), "a", "b", "abc")
		srv.Close()
		if got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", states, got, err, want)
		}
	}
}

func TestAServerThatGivesSmallPagesIsReadToTheEnd(t *testing.T) {
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := r.URL.Query().Get("page")
		asked = append(asked, page)
		if page == "4" {
			_, _ = io.WriteString(w, "[]")
			return
		}
		_, _ = fmt.Fprintf(w, `[{"number":%s,"state":"open","head":{"ref":"x","repo_id":1},"base":{"repo_id":1}}]`, page)
	}))
	defer srv.Close()
	got, err := gitea.New(srv.URL, "token", nil).OpenPullRequests(t.Context(), "a", "b")
	if len(got) != 3 || err != nil || strings.Join(asked, "") != "1234" {
		t.Errorf("%d, %v, pages %v", len(got), err, asked)
	}
}

func TestPullRequestsThatAreTurnedOffHaveTheirName(t *testing.T) {
	d := start(t, giteatest.Gitea)
	s := conform.NewScene(t, d)
	d.With(s.Owner, s.Name, func(re *host.Repo) { re.NoPulls = true })
	c := d.Client(conform.Writer)
	_, err := c.CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
	conform.Want{Reason: "pull_requests_disabled"}.Check(t, d, "create", err)
	_, err = c.FindPullRequests(t.Context(), s.Owner, s.Name, s.Branch)
	conform.Want{Reason: "pull_requests_disabled"}.Check(t, d, "find", err)
	_, err = c.OpenPullRequests(t.Context(), s.Owner, s.Name)
	conform.Want{Reason: "pull_requests_disabled"}.Check(t, d, "list", err)
}

func TestOnlyAnAdministratorIsToldWhatOthersMayDo(t *testing.T) {
	d := start(t, giteatest.Forgejo)
	s := conform.NewScene(t, d)
	if err := d.SetPermission(s.Owner, s.Name, host.Robot, forge.WritePermission); err != nil {
		t.Fatal(err)
	}
	got, err := d.Client(conform.Writer).Permission(t.Context(), s.Owner, s.Name, "alice")
	conform.Want{Reason: "forbidden"}.Check(t, d, "permission", err)
	if got != forge.NoPermission {
		t.Errorf("got %v", got)
	}
}

func TestALabelThatIsMissingIsMadeOnce(t *testing.T) {
	d := start(t, giteatest.Gitea)
	s := conform.NewScene(t, d)
	c := d.Client(conform.Writer)
	pr, err := c.CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.AddLabels(t.Context(), s.Owner, s.Name, pr.Number, []string{"safe", "sre-agent"}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	d.With(s.Owner, s.Name, func(re *host.Repo) {
		for _, l := range re.Labels {
			names = append(names, l.Name)
		}
	})
	if diff := cmp.Diff([]string{"safe", "sre-agent"}, names); diff != "" {
		t.Errorf("labels of the repository (-want +got):\n%s", diff)
	}
}

func TestAMergedOneIsClosedAlreadyAndOneThatWaitsIsNot(t *testing.T) {
	for _, tc := range []struct {
		state, reason string
	}{{"closed", ""}, {"open", "pull_request_rejected"}} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				w.WriteHeader(http.StatusPreconditionFailed)
				_, _ = io.WriteString(w, `{"message":"cannot"}`)
				return
			}
			_, _ = fmt.Fprintf(w, `{"number":7,"state":%q}`, tc.state)
		}))
		err := gitea.New(srv.URL, "token", nil).ClosePullRequest(t.Context(), "a", "b", 7)
		srv.Close()
		if reason, _ := fault.Reason(err); reason != tc.reason || (err == nil) != (tc.reason == "") {
			t.Errorf("%s: %v", tc.state, err)
		}
	}
}

func TestRefusalsOfTheServersOwnWordsHaveNames(t *testing.T) {
	d := start(t, giteatest.Gitea)
	s := conform.NewScene(t, d)
	for _, tc := range []struct {
		name   string
		status int
		text   string
		want   conform.Want
	}{
		{"it exists", 409, "pull request already exists for these targets [id: 3]", conform.Want{Is: forge.ErrExists}},
		{"nothing is changed", 422, "Invalid PullRequest: There are no changes between the head and the base", conform.Want{Reason: "no_commits_between"}},
		{"another validation", 422, "Invalid PullRequest: base and head must be branches", conform.Want{Reason: "pull_request_rejected"}},
		{"bad request", 400, "Poster not found", conform.Want{Reason: "pull_request_rejected"}},
		{"Forgejo's quota", 413, "quota exceeded", conform.Want{Reason: "pull_request_rejected"}},
		{"archived", 423, "acme/shop is archived", conform.Want{Reason: "repository_archived"}},
		{"blocked", 403, "the user is blocked", conform.Want{Reason: "forbidden"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d.SetFault(func(r *http.Request) *forgetest.Fault {
				if r.Method != http.MethodPost {
					return nil
				}
				return &forgetest.Fault{Status: tc.status, Body: fmt.Sprintf(`{"message":%q,"url":"x"}`, tc.text)}
			})
			_, err := d.Client(conform.Writer).CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
			d.SetFault(nil)
			tc.want.Check(t, d, "create", err)
		})
	}
	if _, err := d.Client(conform.Writer).BranchHead(t.Context(), s.Owner, s.Name, "none"); !errors.Is(err, forge.ErrNoBranch) {
		t.Error(err)
	}
}
