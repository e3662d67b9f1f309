package gitea

import (
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// runPayload is the part of Gitea's workflow_run event (1.25 and later) that sre-agent reads.
// https://docs.gitea.com/usage/webhooks and modules/structs/hook.go (WorkflowRunPayload) of go-gitea/gitea
type runPayload struct {
	Action     string     `json:"action"`
	Repository repository `json:"repository"`
	Sender     user       `json:"sender"`
	Workflow   struct {
		Name string `json:"name"`
		Path string `json:"path"`
	} `json:"workflow"`
	Run *struct {
		ID             int64         `json:"id"`
		Path           string        `json:"path"`
		HeadBranch     string        `json:"head_branch"`
		HeadSHA        string        `json:"head_sha"`
		HeadRepository *repository   `json:"head_repository"`
		Conclusion     string        `json:"conclusion"`
		RunAttempt     int           `json:"run_attempt"`
		HTMLURL        string        `json:"html_url"`
		TriggerActor   user          `json:"trigger_actor"`
		CompletedAt    string        `json:"completed_at"`
		PullRequests   []pullRequest `json:"pull_requests"`
	} `json:"workflow_run"`
}

type pullRequest struct {
	Head pullRequestSide `json:"head"`
	Base pullRequestSide `json:"base"`
}

type pullRequestSide struct {
	Ref  string `json:"ref"`
	Repo struct {
		ID  int64  `json:"id"`
		URL string `json:"url"`
	} `json:"repo"`
}

func (p runPayload) missing() string {
	switch {
	case p.Action == "":
		return "action"
	case p.Run == nil:
		return "workflow_run"
	}
	return ""
}

func (p runPayload) decide() (kind, reason string) {
	if p.Action != "completed" {
		return webhook.Ignored, webhook.IgnoredNotCompleted
	}
	kind, reason = result(p.Run.Conclusion)
	return on(p.branch(), kind, reason)
}

// branch is the run's branch. A pull request's run is on refs/pull/N/head and has none; the request has it.
func (p runPayload) branch() string {
	if p.Run.HeadBranch == "" && len(p.Run.PullRequests) > 0 {
		return p.Run.PullRequests[0].Head.Ref
	}
	return p.Run.HeadBranch
}

func (p runPayload) normalise(c *payload.Checks) ci.Failure {
	run := p.Run
	repo := p.Repository.normalise(c)
	path, _, _ := strings.Cut(run.Path, "@") // "ci.yml@refs/heads/main"
	workflow := payload.FirstOf(p.Workflow.Path, path)
	return ci.Failure{
		Repository:     repo,
		HeadRepository: c.FullName("workflow_run.head_repository", p.headRepository(repo)),
		Branch:         c.Branch("workflow_run.head_branch", p.branch()),
		BaseBranch:     c.OptionalBranch("workflow_run.pull_requests.base.ref", p.baseBranch()),
		Commit:         c.Commit("workflow_run.head_sha", run.HeadSHA),
		Workflow:       c.Text("workflow_run.path", workflow, 512),
		WorkflowName:   c.OptionalText("workflow.name", payload.FirstOf(p.Workflow.Name, workflow), 512),
		RunID:          c.ID("workflow_run.id", run.ID),
		RunAttempt:     c.Attempt("workflow_run.run_attempt", run.RunAttempt),
		RunURL:         c.URL("workflow_run.html_url", run.HTMLURL),
		Conclusion:     run.Conclusion,
		Actor:          c.OptionalText("workflow_run.trigger_actor.login", payload.FirstOf(run.TriggerActor.Login, p.Sender.Login), 100),
		FinishedAt:     at(c, "workflow_run.completed_at", run.CompletedAt),
		Claims:         []string{"run:" + payload.Decimal(run.ID)},
	}
}

// headRepository is the repository itself unless the run is one of a pull request from a fork. Of the fork there is
// the address in the API, which ends in its full name.
func (p runPayload) headRepository(repo ci.Repository) string {
	run := p.Run
	if run.HeadRepository != nil && run.HeadRepository.FullName != "" {
		return run.HeadRepository.FullName
	}
	if run.HeadBranch != "" || run.PullRequests[0].Head.Repo.ID == p.Repository.ID {
		return repo.FullName()
	}
	parts := strings.Split(run.PullRequests[0].Head.Repo.URL, "/")
	return strings.Join(parts[max(len(parts)-2, 0):], "/")
}

// baseBranch is the base of the first pull request into this repository, else the default branch.
func (p runPayload) baseBranch() string {
	for _, pr := range p.Run.PullRequests {
		if pr.Base.Ref != "" && pr.Base.Repo.ID == p.Repository.ID {
			return pr.Base.Ref
		}
	}
	return p.Repository.DefaultBranch
}

// jobPayload is the part of Gitea's workflow_job event (1.24 and later) that sre-agent reads. It names the run and not
// the workflow: the run's id, which attempts share, is what makes it one with the run's own event.
type jobPayload struct {
	Action     string     `json:"action"`
	Repository repository `json:"repository"`
	Sender     user       `json:"sender"`
	Job        *struct {
		ID          int64  `json:"id"`
		RunID       int64  `json:"run_id"`
		Name        string `json:"name"`
		RunAttempt  int    `json:"run_attempt"`
		HeadSHA     string `json:"head_sha"`
		HeadBranch  string `json:"head_branch"`
		Conclusion  string `json:"conclusion"`
		HTMLURL     string `json:"html_url"`
		CompletedAt string `json:"completed_at"`
	} `json:"workflow_job"`
}

func (p jobPayload) missing() string {
	switch {
	case p.Action == "":
		return "action"
	case p.Job == nil:
		return "workflow_job"
	}
	return ""
}

func (p jobPayload) decide() (kind, reason string) {
	if p.Action != "completed" {
		return webhook.Ignored, webhook.IgnoredNotCompleted
	}
	kind, reason = job(result(p.Job.Conclusion))
	return on(p.Job.HeadBranch, kind, reason)
}

func (p jobPayload) normalise(c *payload.Checks) ci.Failure {
	repo := p.Repository.normalise(c)
	return ci.Failure{
		Repository:     repo,
		HeadRepository: repo.FullName(),
		Branch:         c.Branch("workflow_job.head_branch", p.Job.HeadBranch),
		BaseBranch:     repo.DefaultBranch,
		Commit:         c.Commit("workflow_job.head_sha", p.Job.HeadSHA),
		Workflow:       "job:" + c.Text("workflow_job.name", p.Job.Name, 255),
		WorkflowName:   p.Job.Name,
		RunID:          c.ID("workflow_job.run_id", p.Job.RunID),
		RunAttempt:     c.Attempt("workflow_job.run_attempt", p.Job.RunAttempt),
		RunURL:         c.URL("workflow_job.html_url", p.Job.HTMLURL),
		Conclusion:     p.Job.Conclusion,
		Actor:          c.OptionalText("sender.login", p.Sender.Login, 100),
		FinishedAt:     at(c, "workflow_job.completed_at", p.Job.CompletedAt),
		Claims:         []string{"run:" + payload.Decimal(p.Job.RunID)},
	}
}
