package azuredevops_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/azuredevops"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	token = "verysecretpersonaltoken"
	head  = "0123456789abcdef0123456789abcdef01234567"
	git   = "/acme/web/_apis/git/repositories/shop"
	pull  = `{"pullRequestId":7,"status":"STATE","sourceRefName":"refs/heads/fix","targetRefName":"refs/heads/main","mergeStatus":"conflicts",
		"createdBy":{"id":"x","uniqueName":"me@acme.example"},"repository":{"id":"r","name":"shop","project":{"id":"p","name":"web"}},
		"lastMergeSourceCommit":{"commitId":"` + head + `"},"lastMergeCommit":{"commitId":"merged"},"labels":[{"name":"safe","active":true}]}`
)

type answer struct {
	status int
	body   string
}

// serve answers each "METHOD path" in the form of the documentation, and 404 else. It keeps the last body sent.
func serve(t *testing.T, answers map[string]answer) (c *azuredevops.Client, url string, sent *[]byte) {
	t.Helper()
	sent = new([]byte)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		if password != token || !strings.HasPrefix(r.URL.Query().Get("api-version"), "7.1") {
			t.Errorf("%s %s without the token or the version", r.Method, r.URL)
		}
		*sent, _ = io.ReadAll(r.Body)
		a, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			a.status = http.StatusNotFound
		}
		if a.status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "90")
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(srv.Close)
	return azuredevops.New(srv.URL+"/acme", token, nil), srv.URL + "/acme", sent
}

func with(state string) string { return strings.Replace(pull, "STATE", state, 1) }

func fix() forge.NewPullRequest {
	return forge.NewPullRequest{Title: "Fix", Head: "fix", Base: "main", Body: "why"}
}

func TestPullRequestsAreFoundInEveryState(t *testing.T) {
	fork := strings.Replace(with("active"), `"labels"`, `"forkSource":{"repository":{"id":"f"}},"labels"`, 1)
	c, url, _ := serve(t, map[string]answer{
		"GET " + git + "/pullrequests": {200, `{"value":[` + with("active") + "," + with("abandoned") + "," + with("completed") + "," + fork + `]}`},
	})
	got, err := c.FindPullRequests(t.Context(), "web", "shop", "fix")
	if err != nil {
		t.Fatal(err)
	}
	open := forge.PullRequest{
		Number: 7, URL: url + "/web/_git/shop/pullrequest/7", State: forge.Open, HeadRef: "fix", HeadSHA: head, BaseRef: "main",
		Author: "me@acme.example", Labels: []string{"safe"}, Conflicts: true,
	}
	closed, merged := open, open
	closed.State, merged.State, merged.Merged, merged.MergeCommit = forge.Closed, forge.Closed, true, "merged"
	if diff := cmp.Diff([]forge.PullRequest{open, closed, merged}, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestRefusalsOfANewPullRequestHaveNames(t *testing.T) {
	refs := map[string]answer{"GET " + git + "/refs": {200, `{"value":[{"name":"refs/heads/main","objectId":"m"}]}`}}
	noRefs := map[string]answer{"GET " + git + "/refs": {200, `{"value":[]}`}}
	for _, tc := range []struct {
		name   string
		answer answer
		more   map[string]answer
		reason string
		is     error
		after  time.Duration
	}{
		{"exists open", answer{409, `{"message":"TF401179: An active pull request exists."}`}, nil, "", forge.ErrExists, 0},
		{"no base", answer{400, `{"message":"TF401398: no longer exists"}`}, noRefs, "base_branch_missing", nil, 0},
		{"a head that is not there yet may come", answer{400, `{"message":"TF401398: no longer exists"}`}, refs, "", nil, 5 * time.Second},
		{"any other 400", answer{400, `{"message":"title"}`}, nil, "pull_request_rejected", nil, 0},
		{"a page to sign in", answer{203, "<html>"}, nil, "unauthorized", nil, 0},
		{"401", answer{401, ""}, nil, "unauthorized", nil, 0},
		{"403", answer{403, `{"message":"TF401027: You need the Git 'PullRequestContribute' permission"}`}, nil, "forbidden", nil, 0},
		{"404", answer{404, `{"message":"TF401019"}`}, nil, "repository_not_found", nil, 0},
		{"429", answer{429, ""}, nil, "", nil, 90 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers := map[string]answer{"POST " + git + "/pullrequests": tc.answer}
			for k, v := range tc.more {
				answers[k] = v
			}
			c, _, _ := serve(t, answers)
			_, err := c.CreatePullRequest(t.Context(), "web", "shop", fix())
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

func TestALongDescriptionIsCutAndKeepsItsLastLine(t *testing.T) {
	c, _, sent := serve(t, map[string]answer{"POST " + git + "/pullrequests": {201, with("active")}})
	pr := fix()
	pr.Body = "why\n```\n" + strings.Repeat("a line with 𝄞\n", 1000) + "```\n<!-- marker -->\n"
	if _, err := c.CreatePullRequest(t.Context(), "web", "shop", pr); err != nil {
		t.Fatal(err)
	}
	var got struct{ Description string }
	if err := json.Unmarshal(*sent, &got); err != nil {
		t.Fatal(err)
	}
	n := len(utf16.Encode([]rune(got.Description)))
	if n > 4000 || n < 3800 || !strings.HasSuffix(got.Description, "```\n…\n<!-- marker -->") {
		t.Errorf("%d units that end in %q", n, got.Description[len(got.Description)-60:])
	}
}

func TestAPersonsRightsAreThoseOfExactlyOneIdentity(t *testing.T) {
	person := func(account, descriptor string) string {
		return `{"id":"00000000-0000-0000-0000-000000000001","isActive":true,"descriptor":"` + descriptor + `","properties":{"Account":{"$value":"` + account + `"}}}`
	}
	for _, tc := range []struct {
		name, identities, allow string
		want                    forge.Permission
	}{
		{"a writer", person("Me@acme.example", "d"), "6", forge.WritePermission},
		{"a reader", person("me@acme.example", "d"), "2", forge.ReadPermission},
		{"an administrator", person("me@acme.example", "d"), "8198", forge.AdminPermission},
		{"somebody whose name is alike", person("me@acme.example.org", "d"), "6", forge.NoPermission},
		{"two of one name", person("me@acme.example", "d") + "," + person("me@acme.example", "e"), "6", forge.NoPermission},
		{"nobody", "null", "6", forge.NoPermission},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, _ := serve(t, map[string]answer{
				"GET /acme/_apis/identities": {200, `{"value":[` + tc.identities + `]}`},
				"GET " + git:                 {200, `{"id":"r","project":{"id":"p"}}`},
				"GET /acme/_apis/accesscontrollists/2e9eb7ed-3c0a-47d4-87c1-0ffdd275fd87": {200, `{"value":[{"acesDictionary":{"d":{"extendedInfo":{"effectiveAllow":` + tc.allow + `}}}}]}`},
			})
			if got, err := c.Permission(t.Context(), "web", "shop", "me@acme.example"); err != nil || got != tc.want {
				t.Errorf("permission = %v, %v; want %v", got, err, tc.want)
			}
		})
	}
}

func TestCommentsAreThoseOfPeopleInOrder(t *testing.T) {
	c, _, _ := serve(t, map[string]answer{"GET " + git + "/pullRequests/7/threads": {200, `{"value":[
		{"id":2,"comments":[{"id":1,"content":"later","commentType":"text","author":{"uniqueName":"b"},"publishedDate":"2026-01-02T00:00:00Z"}]},
		{"id":1,"comments":[{"id":1,"content":"first","commentType":"text","author":{"id":"a"},"publishedDate":"2026-01-01T00:00:00Z"},
			{"id":2,"content":"voted","commentType":"system"},{"id":3,"isDeleted":true}]}]}`}})
	got, err := c.Comments(t.Context(), "web", "shop", 7)
	if err != nil || len(got) != 2 || got[0].ID != "1-1" || got[0].Author != "a" || got[1].Body != "later" {
		t.Errorf("comments = %+v, %v", got, err)
	}
}

func TestChecksAreStatusesAndPoliciesWithoutOurOwn(t *testing.T) {
	policy := func(kind, status string) string {
		return `{"status":"` + status + `","configuration":{"isEnabled":true,"type":{"id":"` + kind + `"}}}`
	}
	const build, reviewers = "0609b952-1397-4640-95ec-e00a01b2c241", "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd"
	for _, tc := range []struct {
		name, statuses, policies string
		want                     forge.Checks
	}{
		{"nothing", "", "", forge.ChecksNone},
		{"green", `{"state":"succeeded","context":{"name":"ci"}}`, policy(build, "approved"), forge.ChecksGreen},
		{"under way", `{"state":"succeeded","context":{"name":"ci"}}`, policy(build, "running"), forge.ChecksPending},
		{"red", `{"state":"succeeded","context":{"name":"ci"}}`, policy(build, "rejected"), forge.ChecksRed},
		{"ours and the reviewers do not count", `{"state":"failed","context":{"genre":"sre-agent","name":"x"}}`, policy(reviewers, "queued"), forge.ChecksNone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, _ := serve(t, map[string]answer{
				"GET " + git + "/commits/" + head + "/statuses": {200, `{"value":[` + tc.statuses + `]}`},
				"GET " + git + "/pullrequests":                  {200, `{"value":[` + with("active") + `]}`},
				"GET /acme/web/_apis/policy/evaluations":        {200, `{"value":[` + tc.policies + `]}`},
			})
			if got, err := c.CommitChecks(t.Context(), "web", "shop", head); err != nil || got != tc.want {
				t.Errorf("checks = %v, %v; want %v", got, err, tc.want)
			}
		})
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
	c := azuredevops.New(srv.URL, token, nil)
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
