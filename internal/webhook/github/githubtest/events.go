package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
)

// Job returns the payload of a completed job of a workflow run.
func Job(p Params) []byte {
	root := about(WorkflowJob, p)
	job, repo := root.at("workflow_job"), root.at("repository")
	set(job, "id", p.JobID)
	set(job, "run_id", p.RunID)
	set(job, "run_attempt", p.Attempt)
	set(job, "workflow_name", p.WorkflowName)
	set(job, "head_branch", p.Branch)
	set(job, "head_sha", p.SHA)
	set(job, "completed_at", p.UpdatedAt)
	job["conclusion"] = firstOf(p.Conclusion, "failure")
	job["html_url"] = fmt.Sprintf("%v/actions/runs/%v/job/%v", repo["html_url"], job["run_id"], job["id"])
	return root.text()
}

// Check returns the payload of a completed check: that of a workflow run's job, unless p.App says otherwise.
func Check(p Params) []byte {
	root := about(CheckRun, p)
	check, repo := root.at("check_run"), root.at("repository")
	suite := check.at("check_suite")
	set(check, "id", p.JobID)
	set(check, "head_sha", p.SHA)
	set(check, "completed_at", p.UpdatedAt)
	check["conclusion"] = firstOf(p.Conclusion, "failure")
	if p.App == "" && p.RunID != 0 {
		check["details_url"] = fmt.Sprintf("%v/actions/runs/%v/job/%v", repo["html_url"], p.RunID, check["id"])
	}
	set(check.at("app"), "slug", p.App)
	setSuite(suite, p)
	check["pull_requests"] = suite["pull_requests"]
	if p.BaseBranch != "" {
		check["pull_requests"] = pullRequests(repo, suite["head_branch"], check["head_sha"], p.BaseBranch)
	}
	return root.text()
}

// Suite returns the payload of a completed check suite of an app.
func Suite(p Params) []byte {
	root := about(CheckSuiteFailure, p)
	suite := root.at("check_suite")
	setSuite(suite, p)
	set(suite, "updated_at", p.UpdatedAt)
	set(suite.at("head_commit"), "id", p.SHA)
	set(suite.at("head_commit"), "message", p.Message)
	suite["conclusion"] = firstOf(p.Conclusion, "failure")
	if p.BaseBranch != "" {
		suite["pull_requests"] = pullRequests(root.at("repository"), suite["head_branch"], suite["head_sha"], p.BaseBranch)
	}
	return root.text()
}

// setSuite sets what the suites of both check events have. They have no pull requests unless these are added.
func setSuite(suite object, p Params) {
	set(suite, "id", p.SuiteID)
	set(suite, "head_branch", p.Branch)
	set(suite, "head_sha", p.SHA)
	set(suite, "after", p.SHA)
	set(suite.at("app"), "slug", p.App)
	suite["pull_requests"] = []object{}
}

// Status returns the payload of a commit status. Its branch is at the commit.
func Status(p Params) []byte {
	root := about(StatusFailure, p)
	set(root, "sha", p.SHA)
	set(root.at("commit"), "sha", p.SHA)
	set(root, "context", p.Context)
	set(root, "updated_at", p.UpdatedAt)
	set(root.at("commit").at("commit"), "message", p.Message)
	root["state"] = firstOf(p.Conclusion, "failure")
	branch, _ := root["branches"].([]any)[0].(map[string]any)
	set(branch, "name", p.Branch)
	branch["commit"] = object{"sha": root["sha"], "url": fmt.Sprintf("%v/commits/%v", root.at("repository")["url"], root["sha"])}
	root["branches"] = []any{branch}
	return root.text()
}

// Sender makes signed workflow_run deliveries. One that is to be smaller than GitHub's example, of some 20 KB, lacks
// addresses of GitHub's interface.
func Sender() webhooktest.Sender {
	return webhooktest.Sender{Provider: "github", Pipeline: func(url, key string, p webhooktest.Params) *http.Request {
		p = p.Default()
		params := Params{
			RepositoryID: p.RepositoryID, Owner: p.Owner, Name: p.Name, DefaultBranch: p.DefaultBranch,
			CloneURL: "https://github.com/" + p.Owner + "/" + p.Name + ".git",
			Branch:   p.Branch, SHA: p.Commit, RunID: p.RunID, UpdatedAt: p.At.UTC().Format(time.RFC3339),
		}
		if p.Passed {
			params.Conclusion = "success"
		}
		return Request(url, key, "workflow_run", p.DeliveryID, p.Instead(sized(FailedRun(params), p.Size)))
	}}
}

// sized brings a workflow_run to a size, unless that is 0.
func sized(body []byte, size int) []byte {
	if size == 0 {
		return body
	}
	var root object
	must(json.Unmarshal(body, &root))
	if size < len(body) {
		withoutAddresses(root)
		body = root.text()
	}
	if size > len(body) {
		// A line end takes two bytes in JSON.
		commit := root.at("workflow_run").at("head_commit")
		was, _ := commit["message"].(string)
		text := webhooktest.Filler(size - len(body) + len(was))
		commit["message"] = text[:len(text)-strings.Count(text, "\n")]
		body = root.text()
	}
	return body
}

func withoutAddresses(o map[string]any) {
	for key, value := range o {
		if inner, ok := value.(map[string]any); ok {
			withoutAddresses(inner)
		}
		if strings.HasSuffix(key, "_url") && key != "clone_url" && key != "html_url" {
			delete(o, key)
		}
	}
}
