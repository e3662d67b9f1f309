package gitlab

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// Workflow is the identity of every pipeline: a project has one pipeline configuration, and a job's event names no
// other thing that its pipeline's event would name too and that a retry would keep.
const Workflow = "gitlab-ci"

const workflowName = "GitLab CI"

// IgnoredChildSuccess is for a child pipeline that passed, which says nothing about the pipeline that started it. With
// statuses, the reasons of Parse and those of package webhook it makes the whole set.
const IgnoredChildSuccess = "child_success"

// statuses names what becomes of the statuses that are neither a failure nor a success.
// https://docs.gitlab.com/api/pipelines/ (status) and https://docs.gitlab.com/api/jobs/ (scope)
var statuses = map[string]string{
	"created":              webhook.IgnoredNotCompleted,
	"waiting_for_resource": webhook.IgnoredNotCompleted,
	"waiting_for_callback": webhook.IgnoredNotCompleted,
	"preparing":            webhook.IgnoredNotCompleted,
	"pending":              webhook.IgnoredNotCompleted,
	"running":              webhook.IgnoredNotCompleted,
	"scheduled":            webhook.IgnoredNotCompleted,
	"canceling":            webhook.IgnoredNotCompleted,
	"manual":               "conclusion_manual",
	"canceled":             "conclusion_canceled",
	"skipped":              "conclusion_skipped",
}

// knownEvents are GitLab's events that sre-agent has no use for.
// https://docs.gitlab.com/user/project/integrations/webhook_events/
var knownEvents = map[string]bool{
	"tag_push": true, "issue": true, "confidential_issue": true, "confidential_note": true, "wiki_page": true, "deployment": true, "feature_flag": true, "release": true, "emoji": true,
	"milestone": true, "subgroup": true, "project": true, "member": true, "resource_access_token": true,
	"vulnerability": true, "work_item": true, "system": true,
}

// Parse says what a delivery means. Its errors are permanent (package fault): the same bytes fail again.
func Parse(event string, body []byte) (webhook.Event, error) {
	switch event {
	case "pipeline":
		return parsePipeline(body)
	case "job":
		return parseJob(body)
	case "note", "merge_request", "push":
		return parseMoved(event, body)
	}
	if err := payload.Valid(body); err != nil {
		return webhook.Event{}, err
	}
	if knownEvents[event] {
		return webhook.Ignore(webhook.IgnoredEventNotUsed), nil
	}
	return webhook.Ignore(webhook.IgnoredUnknownEvent), nil
}

// decide says what a pipeline or job is, before its facts are read.
func decide(status, ref string, tag bool) (kind, reason string) {
	switch status {
	case "failed":
		kind = webhook.Failure
	case "success":
		kind = webhook.Success
	default:
		if reason, ok := statuses[status]; ok {
			return webhook.Ignored, reason
		}
		return webhook.Ignored, "conclusion_unknown"
	}
	switch {
	// A job of a merge request's pipeline has the merge request's ref; the pipeline's own event has the branch.
	case tag, ref == "", strings.HasPrefix(ref, "refs/"):
		return webhook.Ignored, webhook.IgnoredNoBranch
	case strings.HasPrefix(ref, webhook.OwnBranchPrefix):
		return webhook.Ignored, webhook.IgnoredOwnBranch
	}
	return kind, ""
}

// project is what both events may have of their project.
type project struct {
	ID                int64  `json:"id"`
	WebURL            string `json:"web_url"`
	GitHTTPURL        string `json:"git_http_url"`
	PathWithNamespace string `json:"path_with_namespace"`
	DefaultBranch     string `json:"default_branch"`
}

func (p project) repository(c *payload.Checks) ci.Repository {
	owner, name := split(p.PathWithNamespace)
	return ci.Repository{
		ID:            c.ID("project.id", p.ID),
		Owner:         c.Owner("project.path_with_namespace", owner),
		Name:          c.Part("project.path_with_namespace", name),
		CloneURL:      c.URL("project.git_http_url", p.GitHTTPURL),
		WebURL:        c.OptionalURL("project.web_url", p.WebURL),
		DefaultBranch: c.OptionalBranch("project.default_branch", p.DefaultBranch),
	}
}

// split cuts "group/subgroup/name" before the name.
func split(path string) (owner, name string) {
	cut := strings.LastIndexByte(path, '/')
	if cut < 0 {
		return "", path
	}
	return path[:cut], path[cut+1:]
}

// finished reads a time as GitLab's events write it, "2026-11-03 10:20:30 UTC", or in RFC 3339.
func finished(c *payload.Checks, field, s string) time.Time {
	if t, err := time.Parse("2006-01-02 15:04:05 UTC", s); err == nil {
		s = t.Format(time.RFC3339)
	}
	return c.OptionalTime(field, s)
}

// Repository returns the path of the group and the name of the project that a body speaks of.
func Repository(body payload.Object) (owner, name string) {
	path := ""
	if p := body.Member("project"); p != nil {
		path = payload.MemberText(p, "path_with_namespace")
	}
	if path == "" {
		var r repository
		if json.Unmarshal(body.Member("repository"), &r) != nil {
			return "", ""
		}
		path = r.path()
	}
	var c payload.Checks
	owner, name = split(path)
	c.Owner("", owner)
	c.Part("", name)
	if c.Err() != nil {
		return "", ""
	}
	return owner, name
}

// repository is what a job's event has of its project.
type repository struct {
	Homepage   string `json:"homepage"`
	GitHTTPURL string `json:"git_http_url"`
	GitSSHURL  string `json:"git_ssh_url"`
}

// path is the project's path with its groups. The SSH address is asked first: where GitLab lives below a path of its
// host, the others have that path in front.
func (r repository) path() string {
	for _, address := range []string{r.GitSSHURL, r.GitHTTPURL, r.Homepage} {
		if a, ok := payload.ParseGitAddress(address); ok {
			return a.FullName()
		}
	}
	return ""
}
