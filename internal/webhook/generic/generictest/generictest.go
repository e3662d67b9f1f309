// Package generictest makes deliveries to the generic endpoint, for tests and the load generator. No service imports
// this package.
package generictest

import (
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
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
	PipelineFailed      = "pipeline_failed"
	PipelineFailedLeast = "pipeline_failed_least"
	PipelineFailedFork  = "pipeline_failed_fork"
	PipelineSucceeded   = "pipeline_succeeded"
	Ping                = "ping"
)

// Examples are the names of all.
func Examples() []string {
	return []string{PipelineFailed, PipelineFailedLeast, PipelineFailedFork, PipelineSucceeded, Ping}
}

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic(fmt.Sprintf("generictest: no example %q", name))
	}
	return body
}

// Sign returns the value of the webhook-signature header. A secret may have the form "whsec_" and base64.
func Sign(secret, id string, at time.Time, body []byte) string {
	key := []byte(secret)
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			key = raw
		}
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Sender makes signed messages.
func Sender() webhooktest.Sender { return webhooktest.Sender{Provider: "generic", Pipeline: pipeline} }

func pipeline(url, key string, p webhooktest.Params) *http.Request {
	p = p.Default()
	kind := "pipeline.failed"
	if p.Passed {
		kind = "pipeline.succeeded"
	}
	at := p.At.UTC().Format(time.RFC3339Nano)
	address := "https://git.example.com/" + p.Owner + "/" + p.Name
	body := p.Instead(build.Body(Example(PipelineFailed), map[string]any{
		"type": kind, "timestamp": at, "data/finished_at": at,
		"data/repository/id": strconv.FormatInt(p.RepositoryID, 10), "data/repository/owner": p.Owner, "data/repository/name": p.Name,
		"data/repository/clone_url": address + ".git", "data/repository/web_url": address, "data/repository/default_branch": p.DefaultBranch,
		"data/head_repository": p.Owner + "/" + p.Name, "data/branch": p.Branch, "data/base_branch": p.DefaultBranch, "data/commit": p.Commit,
		"data/run_id": strconv.FormatInt(p.RunID, 10), "data/run_url": fmt.Sprintf("https://ci.example.com/runs/%d", p.RunID),
	}, "data/message", p.Size))
	return build.Post(url, body, "Webhook-Id", p.DeliveryID, "Webhook-Timestamp", strconv.FormatInt(p.At.Unix(), 10),
		"Webhook-Signature", Sign(key, p.DeliveryID, p.At, body))
}
