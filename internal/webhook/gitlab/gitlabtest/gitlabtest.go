// Package gitlabtest makes GitLab's webhook deliveries for tests, the load generator and the demo.
//
// The payloads are our own; testdata/README.md says after which documentation they are shaped. No service imports this.
package gitlabtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/build"
)

//go:embed testdata/*.json
var examples embed.FS

// The examples, by name.
const (
	PipelineFailed  = "pipeline_failed"
	PipelinePassed  = "pipeline_passed"
	PipelineOfFork  = "pipeline_merge_request_from_fork"
	JobFailed       = "job_failed"
	JobAllowedFails = "job_allowed_failure"
	Push            = "push"
	NoteOnMerge     = "note_merge_request"
	MergeClosed     = "merge_request_closed"
)

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic("gitlabtest: no example " + name)
	}
	return body
}

// Sender makes the deliveries of whole pipelines, signed by a signing token.
func Sender() webhooktest.Sender {
	return webhooktest.Sender{Provider: "gitlab", Pipeline: func(url, key string, p webhooktest.Params) *http.Request {
		p = p.Default()
		return Request(url, key, "Pipeline Hook", p.DeliveryID, p.At, p.Instead(Pipeline(p)))
	}}
}

const dateTime = "2006-01-02 15:04:05 UTC"

// Pipeline is the payload of a pipeline that ended.
func Pipeline(p webhooktest.Params) []byte {
	p = p.Default()
	status := "failed"
	if p.Passed {
		status = "success"
	}
	web := "https://gitlab.example.com/" + p.Owner + "/" + p.Name
	return build.Body(Example(PipelineFailed), map[string]any{
		"object_attributes/id": p.RunID, "object_attributes/ref": p.Branch, "object_attributes/sha": p.Commit,
		"object_attributes/status": status, "object_attributes/finished_at": p.At.UTC().Format(dateTime),
		"object_attributes/url": web + "/-/pipelines/" + strconv.FormatInt(p.RunID, 10),
		"project/id":            p.RepositoryID, "project/name": p.Name, "project/web_url": web, "project/git_http_url": web + ".git",
		"project/git_ssh_url":         "git@gitlab.example.com:" + p.Owner + "/" + p.Name + ".git",
		"project/path_with_namespace": p.Owner + "/" + p.Name, "project/default_branch": p.DefaultBranch,
		"commit/id": p.Commit, "commit/url": web + "/-/commit/" + p.Commit,
	}, "commit/message", p.Size)
}

// Request is a delivery signed as Standard Webhooks has it. It panics for an address that is not a URL.
func Request(url, key, event, id string, at time.Time, body []byte) *http.Request {
	req := plain(url, event, id, body)
	seconds := strconv.FormatInt(at.Unix(), 10)
	secret := []byte(key)
	if text, ok := strings.CutPrefix(key, "whsec_"); ok {
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			secret = raw
		}
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + seconds + "."))
	mac.Write(body)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", seconds)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return req
}

// TokenRequest is a delivery with the secret token, as it is without a signing token.
func TokenRequest(url, token, event, id string, body []byte) *http.Request {
	req := plain(url, event, id, body)
	req.Header.Set("X-Gitlab-Token", token)
	return req
}

func plain(url, event, id string, body []byte) *http.Request {
	return build.Post(url, body, "User-Agent", "GitLab/18.11.0", "X-Gitlab-Event", event, "Idempotency-Key", id,
		"X-Gitlab-Instance", "https://gitlab.example.com", "X-Gitlab-Event-UUID", "13792a34-cac6-4fda-95a8-c58e00a3954e")
}
