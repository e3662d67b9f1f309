package gitlab_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
	"github.com/sre-agent/sre-agent/internal/forge/gitlab"
)

// answering gives one answer to every request.
func answering(t *testing.T, status int, text string) *gitlab.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(srv.Close)
	return gitlab.New(srv.URL+"/git/api/v4/", "token", nil)
}

func TestAMergeRequestIsReadForWhatItIs(t *testing.T) {
	const form = `{"iid":7,"source_branch":"fix","target_branch":"main","sha":"abc","target_project_id":1,%s}`
	for _, tc := range []struct {
		name, text string
		want       forge.PullRequest
	}{
		{"open", `"state":"opened","source_project_id":1`, forge.PullRequest{State: forge.Open}},
		{"being merged", `"state":"locked","source_project_id":1`, forge.PullRequest{State: forge.Open}},
		{"in conflict", `"state":"opened","source_project_id":1,"has_conflicts":true`, forge.PullRequest{State: forge.Open, Conflicts: true}},
		{"in conflict by the newer field", `"state":"opened","source_project_id":1,"detailed_merge_status":"conflict"`, forge.PullRequest{State: forge.Open, Conflicts: true}},
		{"not looked at yet", `"state":"opened","source_project_id":1,"detailed_merge_status":"checking"`, forge.PullRequest{State: forge.Open}},
		{"closed", `"state":"closed","source_project_id":1,"has_conflicts":true`, forge.PullRequest{State: forge.Closed}},
		{"merged", `"state":"merged","source_project_id":1,"merge_commit_sha":"def","squash_commit_sha":"fed"`, forge.PullRequest{State: forge.Closed, Merged: true, MergeCommit: "def"}},
		{"squashed", `"state":"merged","source_project_id":1,"merge_commit_sha":null,"squash_commit_sha":"fed"`, forge.PullRequest{State: forge.Closed, Merged: true, MergeCommit: "fed"}},
		{"merged by a fast-forward", `"state":"merged","source_project_id":1,"merge_commit_sha":null`, forge.PullRequest{State: forge.Closed, Merged: true, MergeCommit: "abc"}},
		{"from a fork", `"state":"opened","source_project_id":2`, forge.PullRequest{State: forge.Open, FromFork: true}},
		{"from a fork that is gone", `"state":"opened","source_project_id":null`, forge.PullRequest{State: forge.Open, FromFork: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := answering(t, http.StatusOK, fmt.Sprintf(form, tc.text)).PullRequest(t.Context(), "a", "b", 7)
			tc.want.Number, tc.want.HeadRef, tc.want.HeadSHA, tc.want.BaseRef = 7, "fix", "abc", "main"
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAProjectIsOneSegmentOfThePathBelowAnyBase(t *testing.T) {
	var uri string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		_, _ = io.WriteString(w, `{"name":"a/b","commit":{"id":"abc"}}`)
	}))
	defer srv.Close()
	if _, err := gitlab.New(srv.URL+"/git/api/v4/", "token", nil).BranchHead(t.Context(), "group/sub", "app", "a/b"); err != nil {
		t.Fatal(err)
	}
	if want := "/git/api/v4/projects/group%2Fsub%2Fapp/repository/branches/a%2Fb"; uri != want {
		t.Errorf("asked for %s, want %s", uri, want)
	}
	for _, owner := range []string{"..", "group/..", "group//sub", "/group", "."} {
		_, err := gitlab.New(srv.URL, "token", nil).Repository(t.Context(), owner, "app")
		if reason, _ := fault.Reason(err); reason != "invalid_name" {
			t.Errorf("%s: %v, want invalid_name", owner, err)
		}
	}
}

func TestWhatWeWriteIsNeverACommandToGitLab(t *testing.T) {
	d := start(t)
	s := conform.NewScene(t, d)
	c := d.Client(conform.Writer)
	const hostile = "/merge\nthe log says:\n```\n/close\n  /approve now\n> /label ~bug\n/usr/bin/go\n/assign\t@me\r\n/due\n```\na /merge inside\n/2fa"
	const harmless = "\\/merge\nthe log says:\n```\n\\/close\n  \\/approve now\n> \\/label ~bug\n/usr/bin/go\n\\/assign\t@me\r\n\\/due\n```\na /merge inside\n/2fa"
	pr := s.Fix()
	pr.Body = hostile
	made, err := c.CreatePullRequest(t.Context(), s.Owner, s.Name, pr)
	if err != nil {
		t.Fatal(err)
	}
	note, err := c.Comment(t.Context(), s.Owner, s.Name, made.Number, hostile)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.EditComment(t.Context(), s.Owner, s.Name, made.Number, note.ID, hostile+"\n/close"); err != nil {
		t.Fatal(err)
	}
	seen := s.See(t)[0]
	for what, got := range map[string]string{"description": seen.Body, "comment": note.Body, "edited": strings.TrimSuffix(seen.Comments[0].Body, "\n\\/close")} {
		if diff := cmp.Diff(harmless, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestEachStatusCountsAsItsPipelineTakesIt(t *testing.T) {
	for states, want := range map[string]forge.Checks{
		"":                                forge.ChecksNone,
		"success":                         forge.ChecksGreen,
		"success,skipped,manual":          forge.ChecksGreen,
		"success,failed!":                 forge.ChecksGreen,
		"success,canceled":                forge.ChecksRed,
		"success,created":                 forge.ChecksPending,
		"success,waiting_for_resource":    forge.ChecksPending,
		"running,failed":                  forge.ChecksRed,
		"success,something gitlab thinks": forge.ChecksPending,
	} {
		statuses := []map[string]any{}
		for i, s := range strings.Split(states, ",") {
			if s != "" {
				statuses = append(statuses, map[string]any{"name": fmt.Sprint("job", i), "status": strings.TrimSuffix(s, "!"), "allow_failure": strings.HasSuffix(s, "!")})
			}
		}
		text, _ := json.Marshal(statuses)
		got, err := answering(t, http.StatusOK, string(text)).CommitChecks(t.Context(), "a", "b", "abc")
		if got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", states, got, err, want)
		}
	}
}

func TestAMemberCountsByLevelAndState(t *testing.T) {
	for member, want := range map[string]forge.Permission{
		`{"access_level":50,"state":"active"}`:   forge.AdminPermission,
		`{"access_level":40,"state":"active"}`:   forge.AdminPermission,
		`{"access_level":30,"state":"active"}`:   forge.WritePermission,
		`{"access_level":20,"state":"active"}`:   forge.ReadPermission,
		`{"access_level":10,"state":"active"}`:   forge.ReadPermission,
		`{"access_level":5,"state":"active"}`:    forge.NoPermission,
		`{"access_level":0,"state":"active"}`:    forge.NoPermission,
		`{"access_level":40,"state":"blocked"}`:  forge.NoPermission,
		`{"access_level":40,"state":"awaiting"}`: forge.NoPermission,
		`{}`:                                     forge.NoPermission,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/users": // a server that finds more than it was asked for
				_, _ = io.WriteString(w, `[{"id":3,"username":"alice2"},{"id":4,"username":"Alice"}]`)
			case "/projects/a/b/members/all/4":
				_, _ = io.WriteString(w, member)
			default:
				http.NotFound(w, r)
			}
		}))
		got, err := gitlab.New(srv.URL, "token", nil).Permission(t.Context(), "a", "b", "alice")
		srv.Close()
		if got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", member, got, err, want)
		}
	}
}

func TestRefusalsOfGitLabsOwnWordsHaveNames(t *testing.T) {
	d := start(t)
	s := conform.NewScene(t, d)
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   conform.Want
	}{
		{"it exists", 409, `{"message":["Another open merge request already exists for this source branch: !5"]}`, conform.Want{Is: forge.ErrExists}},
		{"another conflict", 409, `{"message":"SHA does not match"}`, conform.Want{Reason: "pull_request_rejected"}},
		{"no target branch", 400, `{"message":{"target_branch":["does not exist"]}}`, conform.Want{Reason: "base_branch_missing"}},
		{"neither branch", 400, `{"message":{"source_branch":["does not exist"],"target_branch":["does not exist"]}}`, conform.Want{Reason: "base_branch_missing"}},
		{"no source branch yet", 400, `{"message":{"source_branch":["does not exist"]}}`, conform.Want{Temporary: true, After: 5 * time.Second}},
		{"a field is missing", 400, `{"error":"title is missing"}`, conform.Want{Reason: "pull_request_rejected"}},
		{"a long title", 400, `{"message":{"title":["is too long (maximum is 255 characters)"]}}`, conform.Want{Reason: "pull_request_rejected"}},
		{"the same branch", 422, `{"error":["You can't use same project/branch for source and target"]}`, conform.Want{Reason: "pull_request_rejected"}},
		{"merge requests are turned off", 422, `{"error":["Target project has disabled merge requests"]}`, conform.Want{Reason: "pull_requests_disabled"}},
		{"the project was moved", 405, `{"message":"Non GET methods are not allowed for moved projects"}`, conform.Want{Reason: "repository_not_found"}},
		{"the scope is too small", 403, `{"error":"insufficient_scope","scope":"api"}`, conform.Want{Reason: "forbidden"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d.SetFault(func(r *http.Request) *forgetest.Fault {
				if r.Method != http.MethodPost {
					return nil
				}
				return &forgetest.Fault{Status: tc.status, Body: tc.body}
			})
			_, err := d.Client(conform.Writer).CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
			d.SetFault(nil)
			tc.want.Check(t, d, "create", err)
		})
	}
	d.With(s.Owner, s.Name, func(re *host.Repo) { re.NoPulls = true })
	_, err := d.Client(conform.Writer).CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
	conform.Want{Reason: "pull_requests_disabled"}.Check(t, d, "create where merge requests are turned off", err)
}
