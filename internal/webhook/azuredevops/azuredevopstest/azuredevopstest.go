// Package azuredevopstest makes the deliveries of Azure DevOps' service hooks, true to life, for tests and the load
// generator.
//
// testdata/README.md says after which documentation the payloads are shaped. No service imports this package.
package azuredevopstest

import (
	"embed"
	"encoding/base64"
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
	BuildFailed             = "build_failed"
	BuildSucceeded          = "build_succeeded"
	BuildPartiallySucceeded = "build_partially_succeeded"
	BuildGitHub             = "build_failed_github"
	BuildPullRequest        = "build_failed_pull_request"
	BuildPullRequestFork    = "build_failed_pull_request_fork"
	BuildNamesWithBlanks    = "build_failed_names_with_blanks"
	BuildV1                 = "build_failed_v1"
	BuildV1Repository       = "build_failed_v1_repository"
)

// Examples are the names of all.
func Examples() []string {
	return []string{
		BuildFailed, BuildSucceeded, BuildPartiallySucceeded, BuildGitHub, BuildPullRequest, BuildPullRequestFork,
		BuildNamesWithBlanks, BuildV1, BuildV1Repository,
	}
}

// Example returns one of the example payloads. It panics for a name that is not one of the constants above.
func Example(name string) []byte {
	body, err := examples.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic(fmt.Sprintf("azuredevopstest: no example %q", name))
	}
	return body
}

// Basic returns the value of the Authorization header for "user:password".
func Basic(userAndPassword string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(userAndPassword))
}

// Sender makes Azure DevOps' requests, for code on GitHub.
func Sender() webhooktest.Sender {
	return webhooktest.Sender{Provider: "azure-devops", SendsToken: true, Pipeline: pipeline}
}

func pipeline(url, key string, p webhooktest.Params) *http.Request {
	p = p.Default()
	result := "failed"
	if p.Passed {
		result = "succeeded"
	}
	project := fmt.Sprintf("00000000-0000-4000-9000-%012d", p.RepositoryID)
	at := p.At.UTC().Format(time.RFC3339Nano)
	body := p.Instead(build.Body(Example(BuildGitHub), map[string]any{
		"id": p.DeliveryID, "createdDate": at, "resource/id": p.RunID, "resource/result": result, "resource/finishTime": at,
		"resource/url":        fmt.Sprintf("https://dev.azure.com/%s/%s/_apis/build/Builds/%d", p.Owner, project, p.RunID),
		"resource/project/id": project, "resource/definition/project/id": project, "resourceContainers/project/id": project,
		"resource/sourceBranch": "refs/heads/" + p.Branch, "resource/sourceVersion": p.Commit,
		"resource/triggerInfo/ci.sourceBranch": "refs/heads/" + p.Branch, "resource/triggerInfo/ci.sourceSha": p.Commit,
		"resource/repository/id": p.Owner + "/" + p.Name, "resource/repository/url": "https://github.com:443/" + p.Owner + "/" + p.Name,
	}, "resource/triggerInfo/ci.message", p.Size))
	return build.Post(url, body, "User-Agent", "VSServices/19.245", "Authorization", Basic(key))
}
