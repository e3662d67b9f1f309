package gitea

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// IgnoredNoHeadRepository is for a pull request whose fork is gone: nobody can tell it from the repository itself. With
// results and the reasons of package webhook it makes the whole set.
const IgnoredNoHeadRepository = "no_head_repository"

// results names the ends of runs and jobs that are neither a failure nor a success, and their states before.
var results = map[string]string{
	"cancelled":   "conclusion_cancelled",
	"skipped":     "conclusion_skipped",
	"waiting":     webhook.IgnoredNotCompleted,
	"blocked":     webhook.IgnoredNotCompleted,
	"running":     webhook.IgnoredNotCompleted,
	"cancelling":  webhook.IgnoredNotCompleted,
	"queued":      webhook.IgnoredNotCompleted,
	"requested":   webhook.IgnoredNotCompleted,
	"in_progress": webhook.IgnoredNotCompleted,
}

// knownEvents are events that sre-agent has no use for.
var knownEvents = map[string]bool{
	"create": true, "delete": true, "fork": true, "issues": true, "issue_assign": true,
	"issue_label": true, "issue_milestone": true, "pull_request_approved": true,
	"pull_request_rejected": true, "pull_request_review_approved": true,
	"pull_request_review_rejected": true, "pull_request_review_comment": true, "wiki": true, "repository": true,
	"release": true, "package": true,
}

func parse(provider, event string, body []byte) (webhook.Event, error) {
	switch {
	case event == "workflow_run":
		return read[runPayload](provider, body)
	case event == "workflow_job":
		return read[jobPayload](provider, body)
	case strings.HasPrefix(event, "action_run_"):
		return read[actionPayload](provider, body)
	case strings.HasPrefix(event, "workflow_job_"):
		return read[actionJobPayload](provider, body)
	case event == "status":
		return parseStatus(body)
	case moves(event):
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

// message is an event's payload.
type message interface {
	// missing names the object that has to be there and is not.
	missing() string
	// decide says what kind of event it is and, when it is ignored, why.
	decide() (kind, reason string)
	// normalise brings the facts into the one schema and holds each of them to its bounds.
	normalise(c *payload.Checks) ci.Failure
}

func read[P message](provider string, body []byte) (webhook.Event, error) {
	var p P
	if err := json.Unmarshal(body, &p); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	if object := p.missing(); object != "" {
		return webhook.Event{}, payload.Missing(object)
	}
	kind, reason := p.decide()
	if kind == webhook.Ignored {
		return webhook.Ignore(reason), nil
	}
	var c payload.Checks
	f := p.normalise(&c)
	f.Provider = provider
	if err := c.Err(); err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: f}, nil
}

// result sorts how a run or job ended, before anything is said of its branch.
func result(conclusion string) (kind, reason string) {
	switch conclusion {
	case "failure":
		return webhook.Failure, ""
	case "success":
		return webhook.Success, ""
	}
	if reason, ok := results[conclusion]; ok {
		return webhook.Ignored, reason
	}
	return webhook.Ignored, "conclusion_unknown"
}

// on ignores what is on no branch or on one of our own.
func on(branch, kind, reason string) (string, string) {
	switch {
	case kind == webhook.Ignored:
		return kind, reason
	case branch == "":
		return webhook.Ignored, webhook.IgnoredNoBranch
	case strings.HasPrefix(branch, webhook.OwnBranchPrefix):
		return webhook.Ignored, webhook.IgnoredOwnBranch
	}
	return kind, ""
}

// job turns a job's success into a reason: it says nothing about the others.
func job(kind, reason string) (string, string) {
	if kind == webhook.Success {
		return webhook.Ignored, webhook.IgnoredJobSuccess
	}
	return kind, reason
}

type repository struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	FullName      string `json:"full_name"`
	Owner         user   `json:"owner"`
	CloneURL      string `json:"clone_url"`
	HTMLURL       string `json:"html_url"`
	DefaultBranch string `json:"default_branch"`
}

type user struct {
	Login string `json:"login"`
}

func (r repository) normalise(c *payload.Checks) ci.Repository {
	return ci.Repository{
		ID:            c.ID("repository.id", r.ID),
		Owner:         c.Part("repository.owner.login", r.Owner.Login),
		Name:          c.Part("repository.name", r.Name),
		CloneURL:      c.URL("repository.clone_url", r.CloneURL),
		WebURL:        c.OptionalURL("repository.html_url", r.HTMLURL),
		DefaultBranch: c.OptionalBranch("repository.default_branch", r.DefaultBranch),
	}
}

// at reads a time; the servers write their zero times too, as the years 1 and 1970.
func at(c *payload.Checks, field, s string) time.Time {
	if strings.HasPrefix(s, "0001-") || strings.HasPrefix(s, "1970-01-01") || strings.HasPrefix(s, "1969-12-31") {
		return time.Time{}
	}
	return c.OptionalTime(field, s)
}

// Repository returns the owner and name of the repository that a body speaks of; Forgejo's runs have theirs within.
func Repository(body payload.Object) (owner, name string) {
	value := body.Member("repository")
	if value == nil {
		value = payload.Member(body.Member("run"), "repository")
	}
	var r repository
	if value == nil || json.Unmarshal(value, &r) != nil ||
		!payload.IsRepositoryPart(r.Owner.Login) || !payload.IsRepositoryPart(r.Name) {
		return "", ""
	}
	return r.Owner.Login, r.Name
}

// parseStatus reads a commit status. It names no branch, so that nothing can be made of it.
func parseStatus(body []byte) (webhook.Event, error) {
	var p struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	switch p.State {
	case "":
		return webhook.Event{}, payload.Missing("state")
	case "pending":
		return webhook.Ignore(webhook.IgnoredNotCompleted), nil
	}
	return webhook.Ignore(webhook.IgnoredNoBranch), nil
}
