package github

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// actionsApp is the app that GitHub Actions makes its checks as.
const actionsApp = "github-actions"

type app struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
}

// checkSuite is a suite as both check events have it. "When the check suite's head_branch is in a forked repository it
// will be null": https://docs.github.com/en/rest/checks/suites. So a suite with a branch is of the repository itself.
type checkSuite struct {
	ID           int64         `json:"id"`
	HeadBranch   string        `json:"head_branch"`
	HeadSHA      string        `json:"head_sha"`
	Conclusion   string        `json:"conclusion"`
	UpdatedAt    string        `json:"updated_at"`
	App          *app          `json:"app"`
	PullRequests []pullRequest `json:"pull_requests"`
	HeadCommit   headCommit    `json:"head_commit"`
}

// checkPayload is the part of a check_run delivery that sre-agent reads.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#check_run
type checkPayload struct {
	Action     string     `json:"action"`
	Repository repository `json:"repository"`
	Sender     user       `json:"sender"`
	Check      *struct {
		ID           int64         `json:"id"`
		HeadSHA      string        `json:"head_sha"`
		HTMLURL      string        `json:"html_url"`
		DetailsURL   string        `json:"details_url"`
		Conclusion   string        `json:"conclusion"`
		CompletedAt  string        `json:"completed_at"`
		Suite        checkSuite    `json:"check_suite"`
		App          *app          `json:"app"`
		PullRequests []pullRequest `json:"pull_requests"`
	} `json:"check_run"`
}

func (p checkPayload) event() (webhook.Event, error) {
	switch {
	case p.Action == "":
		return webhook.Event{}, payload.Missing("action")
	case p.Check == nil:
		return webhook.Event{}, payload.Missing("check_run")
	}
	kind, reason := conclude(p.Action, p.Check.Conclusion)
	switch kind {
	case webhook.Success:
		reason = webhook.IgnoredJobSuccess
	case webhook.Failure:
		reason = p.unusable()
	}
	if reason != "" {
		return webhook.Ignore(reason), nil
	}
	return told(webhook.Failure, p.failure)
}

// unusable is the reason for which a failed check does not count, and empty for one that does.
func (p checkPayload) unusable() string {
	if p.Check.App == nil || p.Check.App.Slug == "" {
		return IgnoredAppUnknown
	}
	if reason := barred(p.Check.Suite.HeadBranch); reason != "" {
		return reason
	}
	if p.Check.App.Slug != actionsApp {
		return ""
	}
	if p.runID() == 0 {
		return IgnoredRunUnknown
	}
	if !p.Repository.forkless() && !p.isHeadOfOwnPullRequest() {
		return IgnoredOriginUnknown
	}
	return ""
}

// isHeadOfOwnPullRequest says that the commit is the head of a pull request from a branch of this repository. For the
// suites of GitHub Actions this is asked for on top of a branch: a run for a fork's pull request has a head_branch in
// workflow_run, so that what is documented of suites is not relied on for them.
func (p checkPayload) isHeadOfOwnPullRequest() bool {
	for _, pr := range p.Check.PullRequests {
		if p.Repository.ID > 0 && pr.Head.Repo.ID == p.Repository.ID && pr.Head.SHA == p.Check.HeadSHA {
			return true
		}
	}
	return false
}

var runPath = regexp.MustCompile(`^/actions/runs/([1-9][0-9]{0,17})(/job/[0-9]+)?$`)

// runID is the workflow run of a check of GitHub Actions, from its address: HTML_URL/actions/runs/ID/job/ID. It is 0
// for a check that a workflow made itself through the interface, which belongs to no run.
func (p checkPayload) runID() int64 {
	rest, ok := strings.CutPrefix(plainURL(p.Check.DetailsURL), p.Repository.HTMLURL)
	m := runPath.FindStringSubmatch(rest)
	if !ok || m == nil || p.Repository.HTMLURL == "" {
		return 0
	}
	id, _ := strconv.ParseInt(m[1], 10, 64) // 18 digits fit
	return id
}

func (p checkPayload) failure(c *payload.Checks) ci.Failure {
	check := p.Check
	f := ci.Failure{
		Provider:   Provider,
		Repository: p.Repository.facts(c),
		Branch:     c.Branch("check_run.check_suite.head_branch", check.Suite.HeadBranch),
		BaseBranch: c.Branch("check_run.pull_requests.base.ref", p.Repository.baseBranch(check.PullRequests)),
		Commit:     c.Commit("check_run.head_sha", check.HeadSHA),
		RunID:      c.ID("check_run.id", check.ID),
		RunAttempt: 1,
		RunURL:     c.OptionalURL("check_run.details_url", payload.FirstOf(plainURL(check.DetailsURL), plainURL(check.HTMLURL))),
		Conclusion: check.Conclusion,
		Actor:      c.OptionalText("sender.login", p.Sender.Login, 100),
		FinishedAt: c.OptionalTime("check_run.completed_at", check.CompletedAt),
	}
	f.HeadRepository = f.Repository.FullName()
	f.Workflow, f.WorkflowName = check.App.identity(c, "check_run.app")
	if check.App.Slug == actionsApp {
		f.RunID, f.Workflow = payload.Decimal(p.runID()), runAsWorkflow(p.runID())
		f.Claims = []string{runName(p.runID())}
		f.SameAs = f.Claims
	}
	return f
}

// identity is what stands for the workflow where an app made the check: the app, which is all that is known of it.
func (a app) identity(c *payload.Checks, field string) (workflow, name string) {
	slug := c.Identity(field+".slug", a.Slug)
	return "app:" + slug, payload.FirstOf(c.OptionalText(field+".name", a.Name, 255), slug)
}

// suitePayload is the part of a check_suite delivery that sre-agent reads.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#check_suite
type suitePayload struct {
	Action     string      `json:"action"`
	Repository repository  `json:"repository"`
	Sender     user        `json:"sender"`
	Suite      *checkSuite `json:"check_suite"`
}

func (p suitePayload) event() (webhook.Event, error) {
	switch {
	case p.Action == "":
		return webhook.Event{}, payload.Missing("action")
	case p.Suite == nil:
		return webhook.Event{}, payload.Missing("check_suite")
	case p.Suite.App != nil && p.Suite.App.Slug == actionsApp:
		return webhook.Ignore(IgnoredActionsSuite), nil
	}
	kind, reason := conclude(p.Action, p.Suite.Conclusion)
	switch {
	case kind == webhook.Ignored:
	case p.Suite.App == nil || p.Suite.App.Slug == "":
		reason = IgnoredAppUnknown
	default:
		reason = barred(p.Suite.HeadBranch)
	}
	if reason != "" {
		return webhook.Ignore(reason), nil
	}
	return told(kind, p.failure)
}

func (p suitePayload) failure(c *payload.Checks) ci.Failure {
	suite := p.Suite
	f := ci.Failure{
		Provider:     Provider,
		Repository:   p.Repository.facts(c),
		Branch:       c.Branch("check_suite.head_branch", suite.HeadBranch),
		BaseBranch:   c.Branch("check_suite.pull_requests.base.ref", p.Repository.baseBranch(suite.PullRequests)),
		Commit:       c.Commit("check_suite.head_sha", suite.HeadSHA),
		RunID:        c.ID("check_suite.id", suite.ID),
		RunAttempt:   1,
		Conclusion:   suite.Conclusion,
		Actor:        c.OptionalText("sender.login", p.Sender.Login, 100),
		FinishedAt:   c.OptionalTime("check_suite.updated_at", suite.UpdatedAt),
		CommitAuthor: c.OptionalText("check_suite.head_commit.author.email", suite.HeadCommit.Author.Email, 320),
	}
	f.HeadRepository = f.Repository.FullName()
	f.Workflow, f.WorkflowName = suite.App.identity(c, "check_suite.app")
	if f.Repository.WebURL != "" {
		f.RunURL = f.Repository.WebURL + "/commit/" + f.Commit + "/checks"
	}
	return f
}
