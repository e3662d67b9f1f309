// Package giteatest makes Gitea's and Forgejo's webhook deliveries for tests, the load generator and the demo.
//
// The payloads are our own; testdata/README.md says after what they are shaped. No service imports this.
package giteatest

import (
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/build"
)

//go:embed testdata/*.json
var examples embed.FS

// The examples, by name: Gitea's, and from ActionFailed on Forgejo's.
const (
	RunFailed     = "workflow_run_failed"
	RunSuccess    = "workflow_run_success"
	RunOfFork     = "workflow_run_of_fork"
	JobFailed     = "workflow_job_failed"
	Status        = "status_failure"
	Push          = "push"
	ActionFailed  = "action_run_failure"
	ActionRecover = "action_run_recover"
	ActionOfFork  = "action_run_failure_of_fork"
	ActionJob     = "action_job_failure"
	CommentOnPull = "comment_pull_request"
	PullClosed    = "pull_request_closed"
)

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic("giteatest: no example " + name)
	}
	return body
}

// Sender makes Gitea's deliveries of whole workflow runs.
func Sender() webhooktest.Sender {
	return webhooktest.Sender{Provider: "gitea", Pipeline: func(url, key string, p webhooktest.Params) *http.Request {
		p = p.Default()
		return Request(url, key, "X-Gitea-", "workflow_run", p.DeliveryID, p.Instead(Run(p)))
	}}
}

// ForgejoSender makes Forgejo's.
func ForgejoSender() webhooktest.Sender {
	return webhooktest.Sender{Provider: "forgejo", Pipeline: func(url, key string, p webhooktest.Params) *http.Request {
		p = p.Default()
		event := "action_run_failure"
		if p.Passed {
			event = "action_run_success"
		}
		return Request(url, key, "X-Forgejo-", event, p.DeliveryID, p.Instead(ActionRun(p)))
	}}
}

func status(p webhooktest.Params) string {
	if p.Passed {
		return "success"
	}
	return "failure"
}

// repository sets the fields of the repository at a path.
func repository(p webhooktest.Params, path string, fields map[string]any) map[string]any {
	web := "https://git.example.com/" + p.Owner + "/" + p.Name
	fields[path+"/id"], fields[path+"/name"], fields[path+"/full_name"] = p.RepositoryID, p.Name, p.Owner+"/"+p.Name
	fields[path+"/owner/login"], fields[path+"/owner/username"] = p.Owner, p.Owner
	fields[path+"/html_url"], fields[path+"/clone_url"], fields[path+"/default_branch"] = web, web+".git", p.DefaultBranch
	return fields
}

func runURL(p webhooktest.Params) string {
	return "https://git.example.com/" + p.Owner + "/" + p.Name + "/actions/runs/" + strconv.FormatInt(p.RunID, 10)
}

// Run is the payload of Gitea's workflow_run.
func Run(p webhooktest.Params) []byte {
	p = p.Default()
	return build.Body(Example(RunFailed), repository(p, "repository", map[string]any{
		"workflow_run/id": p.RunID, "workflow_run/head_branch": p.Branch, "workflow_run/head_sha": p.Commit,
		"workflow_run/path": "ci.yml@refs/heads/" + p.Branch, "workflow_run/conclusion": status(p),
		"workflow_run/html_url": runURL(p), "workflow_run/completed_at": p.At.Format(time.RFC3339),
	}), "workflow_run/display_title", p.Size)
}

// ActionRun is the payload of Forgejo's action_run_failure or action_run_success.
func ActionRun(p webhooktest.Params) []byte {
	p = p.Default()
	trigger, err := json.Marshal(map[string]any{"ref": "refs/heads/" + p.Branch, "after": p.Commit})
	if err != nil {
		panic("giteatest: " + err.Error())
	}
	return build.Body(Example(ActionFailed), repository(p, "run/repository", map[string]any{
		"action": status(p), "run/id": p.RunID, "run/prettyref": p.Branch, "run/commit_sha": p.Commit, "run/status": status(p),
		"run/event_payload": string(trigger), "run/html_url": runURL(p), "run/stopped": p.At.Format(time.RFC3339),
	}), "run/title", p.Size)
}

// Request is a signed delivery. A Forgejo server, whose prefix is "X-Forgejo-", sends Gitea's headers too.
func Request(url, key, prefix, event, id string, body []byte) *http.Request {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	signature := hex.EncodeToString(mac.Sum(nil))
	r := build.Post(url, body, "User-Agent", "Go-http-client/1.1", "X-Hub-Signature-256", "sha256="+signature)
	for _, prefix := range []string{prefix, "X-Gitea-", "X-Gogs-"} {
		r.Header.Set(prefix+"Delivery", id)
		r.Header.Set(prefix+"Event", event)
		r.Header.Set(prefix+"Event-Type", event)
		r.Header.Set(prefix+"Signature", signature)
	}
	return r
}
