// Package jenkinstest makes the deliveries of Jenkins' notification plugin, true to life, for tests and the load
// generator.
//
// testdata/README.md says after which documentation the payloads are shaped. No service imports this package.
package jenkinstest

import (
	"embed"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/build"
)

//go:embed testdata/*.json
var examples embed.FS

// The examples, by name.
const (
	FinalizedFailure  = "finalized_failure"
	FinalizedSuccess  = "finalized_success"
	FinalizedUnstable = "finalized_unstable"
	FinalizedSSH      = "finalized_failure_ssh"
	FinalizedNoSCM    = "finalized_failure_no_scm"
	CompletedFailure  = "completed_failure"
	Started           = "started"
)

// Examples are the names of all.
func Examples() []string {
	return []string{FinalizedFailure, FinalizedSuccess, FinalizedUnstable, FinalizedSSH, FinalizedNoSCM, CompletedFailure, Started}
}

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic(fmt.Sprintf("jenkinstest: no example %q", name))
	}
	return body
}

// Sender makes Jenkins' requests.
func Sender() webhooktest.Sender {
	return webhooktest.Sender{Provider: "jenkins", SendsToken: true, Pipeline: pipeline}
}

func pipeline(address, key string, p webhooktest.Params) *http.Request {
	p = p.Default()
	status := "FAILURE"
	if p.Passed {
		status = "SUCCESS"
	}
	job := fmt.Sprintf("job/%s/job/%s/", p.Owner, p.Name)
	body := p.Instead(build.Body(Example(FinalizedFailure), map[string]any{
		"name": p.Name, "display_name": p.Name, "url": job, "build/number": p.RunID, "build/status": status, "build/timestamp": p.At.UnixMilli(),
		"build/full_url": fmt.Sprintf("https://jenkins.example.com/%s%d/", job, p.RunID), "build/url": fmt.Sprintf("%s%d/", job, p.RunID),
		"build/scm/url":    "https://github.com/" + p.Owner + "/" + p.Name + ".git",
		"build/scm/branch": "origin/" + p.Branch, "build/scm/commit": p.Commit,
		// The body is the delivery's only identity.
		"build/parameters": map[string]any{"DELIVERY": p.DeliveryID},
	}, "build/log", p.Size))
	return build.Post(address+"?token="+url.QueryEscape(key), body, "Content-Type", "application/json;charset=UTF-8")
}
