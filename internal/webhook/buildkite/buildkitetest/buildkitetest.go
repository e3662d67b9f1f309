// Package buildkitetest makes Buildkite's webhook deliveries, true to life, for tests and the load generator.
//
// testdata/README.md says after which documentation the payloads are shaped. No service imports this package.
package buildkitetest

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
	BuildFailed    = "build_failed"
	BuildPassed    = "build_passed"
	BuildBlocked   = "build_blocked"
	BuildRebuilt   = "build_rebuilt"
	BuildFork      = "build_failed_fork"
	JobFailed      = "job_failed"
	JobPassed      = "job_passed"
	JobSoftFailed  = "job_soft_failed"
	JobRetried     = "job_failed_retried"
	JobRetryFailed = "job_failed_retry"
	Ping           = "ping"
)

// Examples are the names of all.
func Examples() []string {
	return []string{
		BuildFailed, BuildPassed, BuildBlocked, BuildRebuilt, BuildFork,
		JobFailed, JobPassed, JobSoftFailed, JobRetried, JobRetryFailed, Ping,
	}
}

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic(fmt.Sprintf("buildkitetest: no example %q", name))
	}
	return body
}

// Sign returns the value of the X-Buildkite-Signature header for a body sent at a time.
func Sign(secret string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("timestamp=%d,signature=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// Sender makes Buildkite's signed requests.
func Sender() webhooktest.Sender {
	return webhooktest.Sender{Provider: "buildkite", Pipeline: pipeline}
}

func pipeline(url, key string, p webhooktest.Params) *http.Request {
	p = p.Default()
	state := "failed"
	if p.Passed {
		state = "passed"
	}
	body := p.Instead(build.Body(Example(BuildFailed), map[string]any{
		// Nothing else in the body tells one delivery from another of the same build.
		"build/meta_data": map[string]any{"delivery": p.DeliveryID},
		"build/id":        fmt.Sprintf("00000000-0000-4000-8000-%012d", p.RunID), "build/number": p.RunID, "build/state": state,
		"build/web_url": fmt.Sprintf("https://buildkite.com/%s/%s/builds/%d", p.Owner, p.Name, p.RunID),
		"build/commit":  p.Commit, "build/branch": p.Branch, "build/finished_at": p.At.UTC().Format(time.RFC3339Nano),
		"pipeline/id":   fmt.Sprintf("00000000-0000-4000-9000-%012d", p.RepositoryID),
		"pipeline/slug": p.Name, "pipeline/name": p.Name, "pipeline/repository": "git@github.com:" + p.Owner + "/" + p.Name + ".git",
		"pipeline/default_branch": p.DefaultBranch,
	}, "build/message", p.Size))
	return build.Post(url, body, "User-Agent", "Buildkite-Request", "X-Buildkite-Event", "build.finished", "X-Buildkite-Signature", Sign(key, p.At, body))
}
