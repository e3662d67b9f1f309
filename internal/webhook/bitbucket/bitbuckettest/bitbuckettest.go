// Package bitbuckettest makes Bitbucket Cloud's webhook deliveries for tests, the load generator and the demo.
//
// The payloads are our own; testdata/README.md says after which documentation they are shaped. No service imports this.
package bitbuckettest

import (
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/build"
)

//go:embed testdata/*.json
var examples embed.FS

// The examples, by name.
const (
	PipelinesFailed = "pipelines_failed"
	PipelinesPassed = "pipelines_passed"
	OtherFailed     = "other_system_failed"
	NoRefname       = "no_refname"
	Push            = "push"
	PullComment     = "pull_request_comment"
)

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic("bitbuckettest: no example " + name)
	}
	return body
}

// Sender makes the deliveries of Pipelines' runs.
func Sender() webhooktest.Sender {
	return webhooktest.Sender{Provider: "bitbucket", Pipeline: func(url, key string, p webhooktest.Params) *http.Request {
		p = p.Default()
		return Request(url, key, "repo:commit_status_updated", p.DeliveryID, p.Instead(Pipeline(p)))
	}}
}

// Pipeline is the payload of a run of Pipelines that ended.
func Pipeline(p webhooktest.Params) []byte {
	p = p.Default()
	state := "FAILED"
	if p.Passed {
		state = "SUCCESSFUL"
	}
	full := p.Owner + "/" + p.Name
	return build.Body(Example(PipelinesFailed), map[string]any{
		"repository/uuid":      fmt.Sprintf("{9d7c1b60-0000-4000-8000-%012d}", p.RepositoryID),
		"repository/full_name": full, "repository/name": p.Name,
		"commit_status/name":  fmt.Sprintf("Pipeline #%d for %s", p.RunID, p.Branch),
		"commit_status/state": state, "commit_status/refname": p.Branch,
		"commit_status/url":        fmt.Sprintf("https://bitbucket.org/%s/addon/pipelines/home#!/results/%d", full, p.RunID),
		"commit_status/updated_on": p.At.Format(time.RFC3339Nano), "commit_status/commit/hash": p.Commit,
	}, "commit_status/commit/message", p.Size)
}

// Request is a signed delivery. It panics for an address that is not a URL.
func Request(url, key, event, id string, body []byte) *http.Request {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return build.Post(url, body, "User-Agent", "Bitbucket-Webhooks/2.0", "X-Event-Key", event, "X-Request-UUID", id,
		"X-Hook-UUID", "5f2d8c1e-0000-4000-8000-000000000001", "X-Attempt-Number", "1",
		"X-Hub-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
}
