package bitbucket_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/bitbucket"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	token = "ATCTTverysecrettoken"
	head  = "0123456789abcdef0123456789abcdef01234567"
	pull  = `{"id":7,"state":"STATE","author":{"uuid":"{me}"},"links":{"html":{"href":"https://b/7"}},
		"source":{"branch":{"name":"fix"},"commit":{"hash":"0123456789ab"},"repository":{"uuid":"{r}"}},
		"destination":{"branch":{"name":"main"},"repository":{"uuid":"{r}"}}}`
)

// serve answers each "METHOD path" with a status and a body in the form of Bitbucket's documentation; else 404.
func serve(t *testing.T, answers map[string]string) *bitbucket.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			t.Errorf("%s %s without the token", r.Method, r.URL.Path)
		}
		answer, ok := answers[r.Method+" "+strings.TrimPrefix(r.URL.Path, "/2.0/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		status := map[string]int{"200": 200, "201": 201, "400": 400, "401": 401, "403": 403, "429": 429, "500": 500}[answer[:3]]
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "90")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer[4:])
	}))
	t.Cleanup(srv.Close)
	return bitbucket.New(srv.URL+"/2.0", token, nil)
}

func with(state string) string { return strings.Replace(pull, "STATE", state, 1) }

func fix() forge.NewPullRequest {
	return forge.NewPullRequest{Title: "Fix", Head: "fix", Base: "main", Body: "why"}
}

func TestPullRequestsAreFoundInEveryStateWithTheWholeCommit(t *testing.T) {
	fork := strings.Replace(with("OPEN"), `{"uuid":"{r}"}}`, `{"uuid":"{fork}"}}`, 1)
	c := serve(t, map[string]string{
		"GET repositories/acme/shop/pullrequests":        `200 {"values":[` + with("OPEN") + "," + with("DECLINED") + "," + with("MERGED") + "," + fork + `]}`,
		"GET repositories/acme/shop/commit/0123456789ab": `200 {"hash":"` + head + `"}`,
	})
	got, err := c.FindPullRequests(t.Context(), "acme", "shop", "fix")
	if err != nil {
		t.Fatal(err)
	}
	open := forge.PullRequest{
		Number: 7, URL: "https://b/7", State: forge.Open, HeadRef: "fix", HeadSHA: head, BaseRef: "main", Author: "{me}",
	}
	declined, merged := open, open
	declined.State, merged.State, merged.Merged = forge.Closed, forge.Closed, true
	if diff := cmp.Diff([]forge.PullRequest{open, declined, merged}, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestRefusalsOfANewPullRequestHaveNames(t *testing.T) {
	refusal := func(text string) string { return `400 {"type":"error","error":{"message":"` + text + `"}}` }
	for _, tc := range []struct {
		name, answer, reason string
		is                   error
		after                time.Duration
	}{
		{"exists open", refusal("A pull request already exists"), "", forge.ErrExists, 0},
		{"no commits", refusal("There are no changes to be pulled"), "no_commits_between", nil, 0},
		{"no base", `400 {"error":{"message":"Bad request","fields":{"destination":["branch not found: none"]}}}`, "base_branch_missing", nil, 0},
		{"a head that is not there yet may come", `400 {"error":{"message":"Bad request","fields":{"source":["branch not found: fix"]}}}`, "", nil, 5 * time.Second},
		{"any other 400", refusal("title is required"), "pull_request_rejected", nil, 0},
		{"401", `401 {}`, "unauthorized", nil, 0},
		{"403", `403 {}`, "forbidden", nil, 0},
		{"404", "", "repository_not_found", nil, 0},
		{"429", `429 {}`, "", nil, 90 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers := map[string]string{"POST repositories/acme/shop/pullrequests": tc.answer}
			if tc.answer == "" {
				answers = nil
			}
			_, err := serve(t, answers).CreatePullRequest(t.Context(), "acme", "shop", fix())
			reason, _ := fault.Reason(err)
			var retry *httpapi.RetryError
			after := time.Duration(0)
			if errors.As(err, &retry) {
				after = retry.After
			}
			if err == nil || reason != tc.reason || after != tc.after || (tc.is != nil && !errors.Is(err, tc.is)) {
				t.Errorf("error = %v, reason %q, after %s; want %q, %s, %v", err, reason, after, tc.reason, tc.after, tc.is)
			}
		})
	}
}

func TestAPullRequestThatIsClosedAlreadyCountsAsClosed(t *testing.T) {
	for _, tc := range []struct{ state, reason string }{{"DECLINED", ""}, {"OPEN", "pull_request_rejected"}} {
		err := serve(t, map[string]string{
			"POST repositories/acme/shop/pullrequests/7/decline": `400 {"error":{"message":"no"}}`,
			"GET repositories/acme/shop/pullrequests/7":          "200 " + with(tc.state),
		}).ClosePullRequest(t.Context(), "acme", "shop", 7)
		if reason, _ := fault.Reason(err); reason != tc.reason || (err == nil) != (tc.reason == "") {
			t.Errorf("closing one that is %s: %v, want %q", tc.state, err, tc.reason)
		}
	}
}

func TestAMissingPullRequestIsToldFromAMissingRepository(t *testing.T) {
	_, err := serve(t, map[string]string{"GET repositories/acme/shop": "200 {}"}).PullRequest(t.Context(), "acme", "shop", 7)
	if !errors.Is(err, forge.ErrNoPullRequest) {
		t.Errorf("missing pull request: %v", err)
	}
	_, err = serve(t, nil).PullRequest(t.Context(), "acme", "shop", 7)
	if reason, _ := fault.Reason(err); reason != "repository_not_found" {
		t.Errorf("missing repository: %v", err)
	}
}

func TestOnlyTheVeryBranchAndTheVeryPersonCount(t *testing.T) {
	c := serve(t, map[string]string{
		"GET repositories/acme/shop/refs/branches":                `200 {"values":[{"name":"fix-two","target":{"hash":"x"}},{"name":"dir/fix","target":{"hash":"` + head + `"}}]}`,
		"GET workspaces/acme/permissions/repositories/shop":       `200 {"values":[{"permission":"admin","user":{"uuid":"{a}"}},{"permission":"write","user":{"uuid":"{b}"}}]}`,
		"GET repositories/acme/shop/commit/" + head + "/statuses": `200 {"values":[{"key":"sre-agent/x","state":"FAILED"},{"key":"ci","state":"SUCCESSFUL"},{"key":"slow","state":"INPROGRESS"}]}`,
	})
	if got, err := c.BranchHead(t.Context(), "acme", "shop", "dir/fix"); err != nil || got != head {
		t.Errorf("head = %q, %v", got, err)
	}
	if _, err := c.BranchHead(t.Context(), "acme", "shop", "fix"); !errors.Is(err, forge.ErrNoBranch) {
		t.Errorf("head of a branch that is not there: %v", err)
	}
	for login, want := range map[string]forge.Permission{"{a}": forge.AdminPermission, "{b}": forge.WritePermission, "{c}": forge.NoPermission} {
		if got, err := c.Permission(t.Context(), "acme", "shop", login); err != nil || got != want {
			t.Errorf("permission of %s = %v, %v; want %v", login, got, err, want)
		}
	}
	if got, err := c.CommitChecks(t.Context(), "acme", "shop", head); err != nil || got != forge.ChecksPending {
		t.Errorf("checks = %v, %v; want pending", got, err)
	}
}

func TestTheTokenIsNotSentToAnotherHost(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached = reached || r.Method != http.MethodGet || r.Header.Get("Authorization") != ""
	}))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	c := bitbucket.New(srv.URL, token, nil)
	_, err := c.CreatePullRequest(t.Context(), "acme", "shop", fix())
	if reason, _ := fault.Reason(err); reason != "foreign_redirect" {
		t.Errorf("a write: %v, want foreign_redirect", err)
	}
	if _, err := c.OpenPullRequests(t.Context(), "acme", "shop"); err == nil {
		t.Error("a read took an empty answer")
	}
	if reached {
		t.Error("the other host was sent a write or the token")
	}
}
