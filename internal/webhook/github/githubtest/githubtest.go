// Package githubtest builds GitHub webhook deliveries that are true to life, for tests and the demo.
//
// The payloads are GitHub's own published examples; testdata/README.md says where they come from and what was
// changed. No service imports this package.
package githubtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

//go:embed testdata/*.json
var examples embed.FS

// The examples, by name.
const (
	WorkflowRunFailure = "workflow_run_completed_failure"
	WorkflowRunSuccess = "workflow_run_completed_success"
	Push               = "push"
	CheckRun           = "check_run_completed"
	WorkflowJob        = "workflow_job_completed"
	Ping               = "ping"

	WorkflowRunQueued  = "workflow_run_completed_queued"
	WorkflowJobSuccess = "workflow_job_completed_success"
	CheckRunFailure    = "check_run_completed_failure"
	CheckRunSuccess    = "check_run_completed_success"
	CheckSuiteFailure  = "check_suite_completed_failure"
	CheckSuiteSuccess  = "check_suite_completed_success"
	CheckSuiteActions  = "check_suite_completed_actions"
	StatusFailure      = "status_failure"
	StatusSuccess      = "status_success"

	PushBranch         = "push_branch"
	CommentOnIssue     = "issue_comment_created"
	CommentOnPull      = "issue_comment_created_pull_request"
	PullClosedOfOthers = "pull_request_closed"
	PullClosed         = "pull_request_closed_ours"
	PullReopened       = "pull_request_reopened_ours"
	PullLabeled        = "pull_request_labeled_ours"
)

// Examples lists every example, with its event.
func Examples() map[string]string {
	return map[string]string{
		WorkflowRunFailure: "workflow_run", WorkflowRunSuccess: "workflow_run", WorkflowRunQueued: "workflow_run",
		WorkflowJob: "workflow_job", WorkflowJobSuccess: "workflow_job",
		CheckRun: "check_run", CheckRunFailure: "check_run", CheckRunSuccess: "check_run",
		CheckSuiteFailure: "check_suite", CheckSuiteSuccess: "check_suite", CheckSuiteActions: "check_suite",
		StatusFailure: "status", StatusSuccess: "status", Push: "push", Ping: "ping",
		PushBranch: "push", CommentOnIssue: "issue_comment", CommentOnPull: "issue_comment", PullClosedOfOthers: "pull_request",
		PullClosed: "pull_request", PullReopened: "pull_request", PullLabeled: "pull_request",
	}
}

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic(fmt.Sprintf("githubtest: no example %q", name))
	}
	return body
}

// Params are the facts of a workflow run, and of its jobs and checks. Fields left empty keep the example's own value.
type Params struct {
	RepositoryID  int64
	Owner, Name   string
	CloneURL      string
	WebURL        string // the repository's page; CloneURL without ".git" when empty
	DefaultBranch string
	// NoForks makes the repository a private one that forbids forks.
	NoForks bool

	Branch       string // the head branch
	SHA          string
	Workflow     string // the workflow's path, such as ".github/workflows/ci.yml"
	WorkflowName string
	RunID        int64
	SuiteID      int64
	Attempt      int
	Actor        string
	Conclusion   string // "failure" when empty; of a status, its state
	// HeadRepository is "owner/name" of the fork that the commit lives in; empty for the repository itself.
	HeadRepository string
	// BaseBranch, when set, adds a pull request of Branch into it.
	BaseBranch string
	// UpdatedAt is when the run ended, in the form of RFC 3339.
	UpdatedAt string
	// Message is the head commit's.
	Message string

	JobID   int64  // of a job or check
	App     string // the slug of the app that made a check or suite; "github-actions" for checks when empty
	Context string // of a status
}

// FailedRun returns the payload of a completed workflow run. Every address in it follows the repository's new name.
func FailedRun(p Params) []byte {
	root := about(WorkflowRunFailure, p)
	run, repo, workflow := root.at("workflow_run"), root.at("repository"), root.at("workflow")
	for _, r := range []object{run.at("repository"), run.at("head_repository")} {
		setNames(r, p)
	}
	set(root.at("organization"), "login", p.Owner)
	set(workflow, "path", p.Workflow)
	set(workflow, "name", p.WorkflowName)
	setRun(run, repo, p)
	for _, who := range []object{run.at("actor"), run.at("triggering_actor")} {
		set(who, "login", p.Actor)
	}
	return root.text()
}

// about returns an example that speaks of another repository.
func about(example string, p Params) object {
	body := Example(example)
	var was struct {
		Repository struct {
			FullName string `json:"full_name"`
		} `json:"repository"`
	}
	must(json.Unmarshal(body, &was))
	if owner, _, _ := strings.Cut(was.Repository.FullName, "/"); p.Owner != "" && p.Name != "" {
		// The addresses are rewritten as text, since they sit in some two hundred fields.
		body = bytes.ReplaceAll(body, []byte(was.Repository.FullName), []byte(p.Owner+"/"+p.Name))
		body = bytes.ReplaceAll(body, []byte("/"+owner), []byte("/"+p.Owner))
	}
	var root object
	must(json.Unmarshal(body, &root))
	repo := root.at("repository")
	setNames(repo, p)
	set(repo, "clone_url", p.CloneURL)
	set(repo, "html_url", firstOf(p.WebURL, strings.TrimSuffix(p.CloneURL, ".git")))
	set(repo, "default_branch", p.DefaultBranch)
	if p.NoForks {
		repo["private"], repo["visibility"], repo["allow_forking"], repo["fork"], repo["forks_count"] = true, "private", false, false, 0
	}
	set(root.at("sender"), "login", p.Actor)
	return root
}

func setNames(repo object, p Params) {
	set(repo, "id", p.RepositoryID)
	set(repo, "name", p.Name)
	set(repo.at("owner"), "login", p.Owner)
}

func setRun(run, repo object, p Params) {
	set(run, "id", p.RunID)
	if p.RunID != 0 || p.CloneURL != "" || p.WebURL != "" {
		run["html_url"] = fmt.Sprintf("%v/actions/runs/%v", repo["html_url"], run["id"])
	}
	set(run, "check_suite_id", p.SuiteID)
	set(run, "run_attempt", p.Attempt)
	set(run, "path", p.Workflow)
	set(run, "name", p.WorkflowName)
	set(run, "head_branch", p.Branch)
	set(run, "head_sha", p.SHA)
	set(run, "updated_at", p.UpdatedAt)
	set(run.at("head_commit"), "id", p.SHA)
	set(run.at("head_commit"), "message", p.Message)
	set(run, "conclusion", firstOf(p.Conclusion, "failure"))
	if p.HeadRepository != "" {
		owner, name, _ := strings.Cut(p.HeadRepository, "/")
		head := run.at("head_repository")
		head["full_name"], head["name"], head["fork"], head["id"] = p.HeadRepository, name, true, 987654321
		head.at("owner")["login"] = owner
	}
	if p.BaseBranch != "" {
		// The published example's list is empty.
		run["pull_requests"] = pullRequests(repo, run["head_branch"], run["head_sha"], p.BaseBranch)
	}
}

// pullRequests has the fields of pull_requests as GitHub's reference has them.
func pullRequests(repo object, branch, sha any, base string) []object {
	ref := object{"id": repo["id"], "name": repo["name"], "url": repo["url"]}
	return []object{{
		"id": 1, "number": 1, "url": fmt.Sprintf("%v/pulls/1", repo["url"]),
		"head": object{"ref": branch, "sha": sha, "repo": ref},
		"base": object{"ref": base, "sha": strings.Repeat("0", 40), "repo": ref},
	}}
}

// Sign returns the value of the X-Hub-Signature-256 header for a body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Request returns a signed delivery as GitHub sends it. It panics for an address that is not a URL.
func Request(url, secret, event, deliveryID string, body []byte) *http.Request {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	must(err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "GitHub-Hookshot/044aadd")
	req.Header.Set("X-GitHub-Event", event)
	req.Header.Set("X-GitHub-Delivery", deliveryID)
	req.Header.Set("X-GitHub-Hook-ID", "292430182")
	req.Header.Set("X-GitHub-Hook-Installation-Target-Type", "repository")
	req.Header.Set("X-Hub-Signature-256", Sign(secret, body))
	return req
}

// object is a JSON object whose numbers are kept as they are written.
type object map[string]any

func (o *object) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return err
	}
	*o = m
	return nil
}

func (o object) text() []byte {
	out, err := json.Marshal(o)
	must(err)
	return out
}

func (o object) at(key string) object {
	m, ok := o[key].(map[string]any)
	if !ok {
		panic(fmt.Sprintf("githubtest: the example has no object %q", key))
	}
	return m
}

// set changes a field unless the value is the zero value.
func set[T comparable](o object, key string, value T) {
	var zero T
	if value != zero {
		o[key] = value
	}
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func must(err error) {
	if err != nil {
		panic("githubtest: " + err.Error())
	}
}
