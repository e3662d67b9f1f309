// Package circlecitest makes CircleCI's webhook deliveries, true to life, for tests and the load generator.
//
// testdata/README.md says after which documentation the payloads are shaped. No service imports this package.
package circlecitest

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
	WorkflowFailed    = "workflow_failed"
	WorkflowSuccess   = "workflow_success"
	WorkflowFork      = "workflow_failed_fork"
	WorkflowGitLab    = "workflow_failed_gitlab"
	WorkflowGitHubApp = "workflow_failed_github_app"
	WorkflowNoVCS     = "workflow_failed_no_vcs"
	JobFailed         = "job_failed"
	JobSuccess        = "job_success"
)

// Examples are the names of all.
func Examples() []string {
	return []string{WorkflowFailed, WorkflowSuccess, WorkflowFork, WorkflowGitLab, WorkflowGitHubApp, WorkflowNoVCS, JobFailed, JobSuccess}
}

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic(fmt.Sprintf("circlecitest: no example %q", name))
	}
	return body
}

// Sign returns the value of the circleci-signature header for a body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Sender makes CircleCI's requests.
func Sender() webhooktest.Sender { return webhooktest.Sender{Provider: "circleci", Pipeline: pipeline} }

func pipeline(url, key string, p webhooktest.Params) *http.Request {
	p = p.Default()
	status := "failed"
	if p.Passed {
		status = "success"
	}
	repository := "https://github.com/" + p.Owner + "/" + p.Name
	workflow := fmt.Sprintf("00000000-0000-4000-8000-%012d", p.RunID)
	body := p.Instead(build.Body(Example(WorkflowFailed), map[string]any{
		"id": p.DeliveryID, "happened_at": p.At.UTC().Format(time.RFC3339Nano),
		"project/id": fmt.Sprintf("00000000-0000-4000-9000-%012d", p.RepositoryID), "project/name": p.Name, "project/slug": "github/" + p.Owner + "/" + p.Name,
		"organization/name": p.Owner, "workflow/id": workflow, "workflow/status": status, "workflow/stopped_at": p.At.UTC().Format(time.RFC3339Nano),
		"workflow/url":                       fmt.Sprintf("https://app.circleci.com/pipelines/github/%s/%s/%d/workflows/%s", p.Owner, p.Name, p.RunID, workflow),
		"pipeline/number":                    p.RunID,
		"pipeline/vcs/origin_repository_url": repository, "pipeline/vcs/target_repository_url": repository,
		"pipeline/vcs/revision": p.Commit, "pipeline/vcs/branch": p.Branch,
	}, "pipeline/vcs/commit/body", p.Size))
	return build.Post(url, body, "User-Agent", "CircleCI-Webhook/1.0", "Circleci-Event-Type", "workflow-completed", "Circleci-Signature", Sign(key, body))
}
