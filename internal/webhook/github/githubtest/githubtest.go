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
)

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic(fmt.Sprintf("githubtest: no example %q", name))
	}
	return body
}

// Params are the facts of a workflow run. Fields left empty keep the example's own value.
type Params struct {
	RepositoryID  int64
	Owner, Name   string
	CloneURL      string
	WebURL        string // the repository's page; CloneURL without ".git" when empty
	DefaultBranch string

	Branch       string // the head branch
	SHA          string
	Workflow     string // the workflow's path, such as ".github/workflows/ci.yml"
	WorkflowName string
	RunID        int64
	Attempt      int
	Actor        string
	Conclusion   string // "failure" when empty
	// HeadRepository is "owner/name" of the fork that the commit lives in; empty for the repository itself.
	HeadRepository string
	// BaseBranch, when set, adds a pull request of Branch into it.
	BaseBranch string
}

// Full names of the repository and of its owner in the example.
const (
	exampleFullName = "octo-org/octo-repo"
	exampleOwner    = "octo-org"
)

// FailedRun returns the payload of a completed workflow run. Every address in it follows the repository's new name.
func FailedRun(p Params) []byte {
	body := Example(WorkflowRunFailure)
	if p.Owner != "" && p.Name != "" {
		// The addresses are rewritten as text, since they sit in some two hundred fields.
		body = bytes.ReplaceAll(body, []byte(exampleFullName), []byte(p.Owner+"/"+p.Name))
		body = bytes.ReplaceAll(body, []byte("/"+exampleOwner), []byte("/"+p.Owner))
	}
	var root object
	must(json.Unmarshal(body, &root))
	run, repo, workflow := root.at("workflow_run"), root.at("repository"), root.at("workflow")
	for _, r := range []object{repo, run.at("repository"), run.at("head_repository")} {
		set(r, "id", p.RepositoryID)
		set(r, "name", p.Name)
		set(r.at("owner"), "login", p.Owner)
	}
	set(repo, "clone_url", p.CloneURL)
	set(repo, "html_url", firstOf(p.WebURL, strings.TrimSuffix(p.CloneURL, ".git")))
	set(repo, "default_branch", p.DefaultBranch)
	set(root.at("organization"), "login", p.Owner)
	set(workflow, "path", p.Workflow)
	set(workflow, "name", p.WorkflowName)
	setRun(run, repo, p)
	for _, who := range []object{root.at("sender"), run.at("actor"), run.at("triggering_actor")} {
		set(who, "login", p.Actor)
	}
	out, err := json.Marshal(root)
	must(err)
	return out
}

func setRun(run, repo object, p Params) {
	set(run, "id", p.RunID)
	if p.RunID != 0 || p.CloneURL != "" || p.WebURL != "" {
		run["html_url"] = fmt.Sprintf("%v/actions/runs/%v", repo["html_url"], run["id"])
	}
	set(run, "run_attempt", p.Attempt)
	set(run, "path", p.Workflow)
	set(run, "name", p.WorkflowName)
	set(run, "head_branch", p.Branch)
	set(run, "head_sha", p.SHA)
	set(run.at("head_commit"), "id", p.SHA)
	set(run, "conclusion", firstOf(p.Conclusion, "failure"))
	if p.HeadRepository != "" {
		owner, name, _ := strings.Cut(p.HeadRepository, "/")
		head := run.at("head_repository")
		head["full_name"], head["name"], head["fork"], head["id"] = p.HeadRepository, name, true, 987654321
		head.at("owner")["login"] = owner
	}
	if p.BaseBranch != "" {
		// The fields of pull_requests as GitHub's reference has them; the published example's list is empty.
		ref := object{"id": repo["id"], "name": repo["name"], "url": repo["url"]}
		run["pull_requests"] = []object{{
			"id": 1, "number": 1, "url": fmt.Sprintf("%v/pulls/1", repo["url"]),
			"head": object{"ref": run["head_branch"], "sha": run["head_sha"], "repo": ref},
			"base": object{"ref": p.BaseBranch, "sha": strings.Repeat("0", 40), "repo": ref},
		}}
	}
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
