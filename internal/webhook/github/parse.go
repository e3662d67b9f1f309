package github

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// The reasons for ignoring a delivery that only GitHub has. With conclusionReasons and those of package webhook they
// are the whole set.
const (
	IgnoredStartupFailure   = "startup_failure"    // the workflow file itself is broken: no job ran, there is no log
	IgnoredNoHeadRepository = "no_head_repository" // the fork that the commit came from is gone
	IgnoredOriginUnknown    = "origin_unknown"     // the event does not tell a fork's code from the repository's own
	IgnoredActionsSuite     = "actions_suite"      // a suite of GitHub Actions: the events of its runs and jobs say more
	IgnoredRunUnknown       = "run_unknown"        // a check of GitHub Actions that belongs to none of its runs
	IgnoredAppUnknown       = "app_unknown"        // a check or suite that names no app
)

// conclusionReasons names the conclusions that are neither a failure nor a success.
// https://docs.github.com/en/rest/checks/runs (conclusion); null while a run is under way.
var conclusionReasons = map[string]string{
	"":                webhook.IgnoredNotCompleted,
	"action_required": "conclusion_action_required",
	"cancelled":       "conclusion_cancelled",
	"neutral":         "conclusion_neutral",
	"skipped":         "conclusion_skipped",
	"stale":           "conclusion_stale",
	"startup_failure": IgnoredStartupFailure,
}

// Parse says what a delivery means. Its errors are permanent (package fault): the same bytes fail again.
func Parse(event string, body []byte) (webhook.Event, error) {
	switch event {
	case "workflow_run":
		return parse(body, runPayload.event)
	case "workflow_job":
		return parse(body, jobPayload.event)
	case "check_run":
		return parse(body, checkPayload.event)
	case "check_suite":
		return parse(body, suitePayload.event)
	case "status":
		return parse(body, statusPayload.event)
	case "issue_comment", "pull_request", "push":
		return parseMoved(event, body)
	}
	if err := payload.Valid(body); err != nil {
		return webhook.Event{}, err
	}
	switch {
	case event == "ping":
		return webhook.Ignore(webhook.IgnoredPing), nil
	case knownEvents[event]:
		return webhook.Ignore(webhook.IgnoredEventNotUsed), nil
	default:
		return webhook.Ignore(webhook.IgnoredUnknownEvent), nil
	}
}

func parse[T any](body []byte, event func(T) (webhook.Event, error)) (webhook.Event, error) {
	var p T
	if err := json.Unmarshal(body, &p); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	return event(p)
}

type repository struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	FullName      string `json:"full_name"`
	Owner         user   `json:"owner"`
	CloneURL      string `json:"clone_url"`
	HTMLURL       string `json:"html_url"`
	DefaultBranch string `json:"default_branch"`
	Fork          *bool  `json:"fork"`
	ForksCount    *int64 `json:"forks_count"`
	AllowForking  *bool  `json:"allow_forking"`
}

type user struct {
	Login string `json:"login"`
}

type pullRequest struct {
	Head side `json:"head"`
	Base side `json:"base"`
}

type side struct {
	Ref  string     `json:"ref"`
	SHA  string     `json:"sha"`
	Repo repository `json:"repo"`
}

// conclude says what a conclusion means. An event of action "completed" whose status says "queued" is judged by its
// conclusion too: GitHub sends such (see testdata), and with no conclusion nothing has ended.
func conclude(action, conclusion string) (kind, reason string) {
	if action != "completed" {
		return webhook.Ignored, webhook.IgnoredNotCompleted
	}
	switch conclusion {
	case "failure", "timed_out":
		return webhook.Failure, ""
	case "success":
		return webhook.Success, ""
	}
	if reason, ok := conclusionReasons[conclusion]; ok {
		return webhook.Ignored, reason
	}
	return webhook.Ignored, "conclusion_unknown"
}

// barred is the reason for which nothing that happens on a branch counts, and empty for most.
func barred(branch string) string {
	switch {
	case branch == "":
		return webhook.IgnoredNoBranch
	case strings.HasPrefix(branch, webhook.OwnBranchPrefix):
		return webhook.IgnoredOwnBranch
	}
	return ""
}

// facts are those of the repository, each held to its bounds.
func (r repository) facts(c *payload.Checks) ci.Repository {
	return ci.Repository{
		ID:            c.ID("repository.id", r.ID),
		Owner:         c.Part("repository.owner.login", r.Owner.Login),
		Name:          c.Part("repository.name", r.Name),
		CloneURL:      c.URL("repository.clone_url", r.CloneURL),
		WebURL:        c.OptionalURL("repository.html_url", r.HTMLURL),
		DefaultBranch: c.Branch("repository.default_branch", r.DefaultBranch),
	}
}

// forkless says that no fork of the repository can have sent the code: it is none itself, has none, and forbids them.
// A count of zero alone is no proof, since a fork can be deleted while its jobs run. Public repositories can't forbid
// forks. https://docs.github.com/en/rest/repos/repos#update-a-repository (allow_forking)
func (r repository) forkless() bool {
	return r.Fork != nil && !*r.Fork && r.ForksCount != nil && *r.ForksCount == 0 && r.AllowForking != nil && !*r.AllowForking
}

// baseBranch is the base of the first pull request into this repository, else the default branch. The list may
// also hold pull requests into other repositories of the same network, whose settings do not count here.
func (r repository) baseBranch(prs []pullRequest) string {
	for _, pr := range prs {
		if pr.Base.Ref != "" && (pr.Base.Repo.ID == 0 || pr.Base.Repo.ID == r.ID) {
			return pr.Base.Ref
		}
	}
	return r.DefaultBranch
}

// plainURL is an address of the web without its query and fragment, and empty for anything else: people and other
// systems may write what they like into the fields that it is for.
func plainURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		return ""
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	if s = u.String(); len(s) > 2048 {
		return ""
	}
	return s
}

// Repository returns the owner and name of the repository that a valid body speaks of, and empty strings when it
// names none, as events of an organisation do. It reads only the repository's part of the body, whatever its size.
func Repository(body payload.Object) (owner, name string) {
	value := body.Member("repository")
	if value == nil {
		return "", ""
	}
	owner, name = payload.MemberText(value, "owner", "login"), payload.MemberText(value, "name")
	if !payload.IsRepositoryPart(owner) || !payload.IsRepositoryPart(name) {
		return "", ""
	}
	return owner, name
}

// told is the event that a payload tells of, if its fields are within their bounds.
func told(kind string, read func(*payload.Checks) ci.Failure) (webhook.Event, error) {
	var c payload.Checks
	f := read(&c)
	if err := c.Err(); err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: f}, nil
}
