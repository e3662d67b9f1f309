package buildkite

import (
	"encoding/json"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// The reasons for ignoring a delivery that only Buildkite has, or only some providers.
const (
	IgnoredBlocked          = "blocked"            // the build waits at a block step: it has not come to its end
	IgnoredRetried          = "retried"            // the job runs again already: what counts is how that ends
	IgnoredOtherJob         = "other_job"          // a step that runs no command: a trigger, a block or a wait
	IgnoredNoRepository     = "no_repository"      // the pipeline's repository has no address that names one
	IgnoredNoHeadRepository = "no_head_repository" // the same of a pull request's own repository
	IgnoredNoCommit         = "no_commit"          // the build says HEAD, or a short id: no agent has looked it up
)

// stateReasons names the states of builds and jobs that are neither a failure nor a success.
// https://buildkite.com/docs/apis/rest-api/builds#build-data-model
var stateReasons = map[string]string{
	"":               "conclusion_none",
	"blocked":        IgnoredBlocked,
	"blocked_failed": IgnoredBlocked,
	"canceled":       "conclusion_canceled",
	"canceling":      "conclusion_canceled",
	"skipped":        "conclusion_skipped",
	"not_run":        "conclusion_not_run",
	"broken":         "conclusion_broken",
	"expired":        "conclusion_expired",
	"creating":       webhook.IgnoredNotCompleted,
	"scheduled":      webhook.IgnoredNotCompleted,
	"waiting":        webhook.IgnoredNotCompleted,
	"waiting_failed": webhook.IgnoredNotCompleted,
	"pending":        webhook.IgnoredNotCompleted,
	"limited":        webhook.IgnoredNotCompleted,
	"assigned":       webhook.IgnoredNotCompleted,
	"accepted":       webhook.IgnoredNotCompleted,
	"running":        webhook.IgnoredNotCompleted,
	"failing":        webhook.IgnoredNotCompleted,
	"timing_out":     webhook.IgnoredNotCompleted,
}

// delivery is the part of a body that sre-agent reads.
// https://buildkite.com/docs/apis/webhooks/pipelines/build-events and .../job-events
type delivery struct {
	Build    *build   `json:"build"`
	Job      *job     `json:"job"`
	Pipeline pipeline `json:"pipeline"`
}

type build struct {
	ID          string       `json:"id"`
	WebURL      string       `json:"web_url"`
	State       string       `json:"state"`
	Blocked     bool         `json:"blocked"`
	Commit      string       `json:"commit"`
	Branch      string       `json:"branch"`
	Tag         string       `json:"tag"`
	FinishedAt  string       `json:"finished_at"`
	Creator     person       `json:"creator"`
	Author      person       `json:"author"`
	PullRequest *pullRequest `json:"pull_request"`
}

type person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

type pullRequest struct {
	Base       string `json:"base"`
	Repository string `json:"repository"`
}

type job struct {
	Type       string `json:"type"`
	State      string `json:"state"`
	ExitStatus *int64 `json:"exit_status"`
	SoftFailed bool   `json:"soft_failed"`
	Retried    bool   `json:"retried"`
	FinishedAt string `json:"finished_at"`
}

type pipeline struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Slug          string `json:"slug"`
	Repository    string `json:"repository"`
	DefaultBranch string `json:"default_branch"`
}

// Parse says what a delivery means. Its errors are permanent (package fault): the same bytes fail again.
func Parse(event string, body []byte) (webhook.Event, error) {
	if event != "build.finished" && event != "job.finished" {
		if err := payload.Valid(body); err != nil {
			return webhook.Event{}, err
		}
		return webhook.Ignore(otherEvent(event)), nil
	}
	var d delivery
	if err := json.Unmarshal(body, &d); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	if d.Build == nil {
		return webhook.Event{}, payload.Missing("build")
	}
	if event == "job.finished" && d.Job == nil {
		return webhook.Event{}, payload.Missing("job")
	}
	if event == "build.finished" {
		d.Job = nil
	}
	kind, reason := decide(d)
	if kind == webhook.Ignored {
		return webhook.Ignore(reason), nil
	}
	s, reason := where(d)
	if reason != "" {
		return webhook.Ignore(reason), nil
	}
	failure, err := normalise(d, s)
	if err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: failure}, nil
}

func otherEvent(event string) string {
	switch event {
	case "ping":
		return webhook.IgnoredPing
	case "build.scheduled", "build.running", "build.failing", "build.skipped", "job.scheduled", "job.started", "job.activated",
		"agent.connected", "agent.lost", "agent.disconnected", "agent.stopping", "agent.stopped", "agent.blocked",
		"cluster_token.registration_blocked", "agent_token.registration_blocked":
		return webhook.IgnoredEventNotUsed
	}
	return webhook.IgnoredUnknownEvent
}

func decide(d delivery) (kind, reason string) {
	if d.Job != nil {
		return decideJob(d)
	}
	switch {
	case d.Build.Blocked: // whatever the state: a block step may be set to show it as passed or failed
		return webhook.Ignored, IgnoredBlocked
	case d.Build.State == "failed":
		return webhook.Failure, ""
	case d.Build.State == "passed":
		return webhook.Success, ""
	}
	return webhook.Ignored, reasonFor(d.Build.State)
}

func decideJob(d delivery) (kind, reason string) {
	state := d.Job.State
	if state == "finished" { // a job's state in GraphQL's words: the exit status tells how it ended
		state = "passed"
		if d.Job.ExitStatus == nil || *d.Job.ExitStatus != 0 {
			state = "failed"
		}
	}
	switch {
	case d.Job.Type != "" && d.Job.Type != "script":
		return webhook.Ignored, IgnoredOtherJob
	case state == "passed":
		return webhook.Ignored, webhook.IgnoredJobSuccess
	case state != "failed" && state != "timed_out":
		return webhook.Ignored, reasonFor(state)
	case d.Job.SoftFailed:
		return webhook.Ignored, webhook.IgnoredAllowed
	case d.Job.Retried:
		return webhook.Ignored, IgnoredRetried
	}
	return webhook.Failure, ""
}

func reasonFor(state string) string {
	if reason, ok := stateReasons[state]; ok {
		return reason
	}
	return "conclusion_unknown"
}

// source is where the code of a build is.
type source struct {
	target, head payload.GitAddress
	branch, base string
}

// where finds the code, or the reason why nobody can. The branch of a fork's pull request may have the fork's owner
// and a colon before it. https://buildkite.com/docs/pipelines/source-control/github
func where(d delivery) (source, string) {
	s := source{branch: d.Build.Branch}
	target, ok := payload.ParseGitAddress(d.Pipeline.Repository)
	if !ok {
		return s, IgnoredNoRepository
	}
	s.target, s.head = target, target
	if pr := d.Build.PullRequest; pr != nil {
		s.base = pr.Base
		if pr.Repository != "" {
			if s.head, ok = payload.ParseGitAddress(pr.Repository); !ok {
				return s, IgnoredNoHeadRepository
			}
		}
		if _, branch, prefixed := strings.Cut(s.branch, ":"); prefixed && !strings.EqualFold(s.head.FullName(), target.FullName()) {
			s.branch = branch
		}
	}
	switch {
	case s.branch == "" || d.Build.Tag != "":
		return s, webhook.IgnoredNoBranch
	case strings.HasPrefix(s.branch, webhook.OwnBranchPrefix):
		return s, webhook.IgnoredOwnBranch
	case !payload.IsCommit(d.Build.Commit):
		return s, IgnoredNoCommit
	}
	return s, ""
}

// normalise brings the facts into the one schema and holds each of them to its bounds. The pipeline's id stays when a
// build is made again or a job is retried, and when the pipeline gets another name.
func normalise(d delivery, s source) (ci.Failure, error) {
	b := d.Build
	conclusion, finished := b.State, b.FinishedAt
	if d.Job != nil {
		conclusion, finished = d.Job.State, d.Job.FinishedAt
	}
	var c payload.Checks
	f := ci.Failure{
		Provider: Provider,
		Repository: ci.Repository{
			ID: s.target.ID(), Owner: s.target.Owner, Name: s.target.Name,
			CloneURL: c.URL("pipeline.repository", s.target.CloneURL()), WebURL: s.target.WebURL(),
			DefaultBranch: c.OptionalBranch("pipeline.default_branch", d.Pipeline.DefaultBranch),
		},
		HeadRepository: s.head.FullName(),
		Branch:         c.Branch("build.branch", s.branch),
		BaseBranch:     c.OptionalBranch("build.pull_request.base", payload.FirstOf(s.base, d.Pipeline.DefaultBranch)),
		Commit:         c.Commit("build.commit", b.Commit),
		Workflow:       c.Identity("pipeline.id", d.Pipeline.ID),
		WorkflowName:   c.Text("pipeline.slug", payload.FirstOf(d.Pipeline.Slug, d.Pipeline.Name), 255),
		RunID:          c.Identity("build.id", b.ID),
		RunAttempt:     1,
		RunURL:         c.URL("build.web_url", b.WebURL),
		Conclusion:     conclusion,
		Actor:          c.OptionalText("build.creator.name", b.Creator.Name, 255),
		FinishedAt:     c.OptionalTime("build.finished_at", finished),
		CommitAuthor:   c.OptionalText("build.author.email", b.Author.Email, 320),
	}
	if err := c.Err(); err != nil {
		return ci.Failure{}, err
	}
	return f, nil
}

// Repository returns the owner and name of the repository that a body speaks of, and empty strings for none.
func Repository(body payload.Object) (owner, name string) {
	address, ok := payload.ParseGitAddress(body.Text("pipeline", "repository"))
	if !ok {
		return "", ""
	}
	return address.Owner, address.Name
}
