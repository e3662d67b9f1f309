package github

import (
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// The events of one workflow run don't all know the same of it. These are the names by which they find each other:
// only workflow_run knows the file, only it and workflow_job the display name, only it and check_run the suite.
// Two runs of one workflow on one commit (a push and its pull request) have the display name alone in common. Two
// files may share that, so a run claims "wname" and looks for "jname", which a job claims, and the other way round.
func runName(id int64) string          { return "run:" + payload.Decimal(id) }
func runsDisplayName(s string) string  { return "wname:" + s }
func jobsDisplayName(s string) string  { return "jname:" + s }
func runAsWorkflow(runID int64) string { return "actions-run:" + payload.Decimal(runID) }

// runPayload is the part of a workflow_run delivery that sre-agent reads.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_run
type runPayload struct {
	Action     string     `json:"action"`
	Repository repository `json:"repository"`
	Workflow   struct {
		Name string `json:"name"`
		Path string `json:"path"`
	} `json:"workflow"`
	Run *workflowRun `json:"workflow_run"`
}

type workflowRun struct {
	ID              int64         `json:"id"`
	Name            string        `json:"name"`
	Path            string        `json:"path"`
	HeadBranch      string        `json:"head_branch"`
	HeadSHA         string        `json:"head_sha"`
	HeadRepository  *repository   `json:"head_repository"`
	Conclusion      string        `json:"conclusion"`
	RunAttempt      int           `json:"run_attempt"`
	HTMLURL         string        `json:"html_url"`
	UpdatedAt       string        `json:"updated_at"`
	Actor           user          `json:"actor"`
	TriggeringActor user          `json:"triggering_actor"`
	PullRequests    []pullRequest `json:"pull_requests"`
	HeadCommit      headCommit    `json:"head_commit"`
}

type headCommit struct {
	Author struct {
		Email string `json:"email"`
	} `json:"author"`
}

func (p runPayload) event() (webhook.Event, error) {
	switch {
	case p.Action == "":
		return webhook.Event{}, payload.Missing("action")
	case p.Run == nil:
		return webhook.Event{}, payload.Missing("workflow_run")
	}
	kind, reason := conclude(p.Action, p.Run.Conclusion)
	if kind != webhook.Ignored {
		reason = barred(p.Run.HeadBranch)
	}
	switch {
	case reason != "":
		return webhook.Ignore(reason), nil
	case p.Run.HeadRepository == nil:
		// Without it nobody can tell a fork from the repository itself, and the two are trusted differently.
		return webhook.Ignore(IgnoredNoHeadRepository), nil
	}
	return told(kind, p.failure)
}

func (p runPayload) failure(c *payload.Checks) ci.Failure {
	run := p.Run
	f := ci.Failure{
		Provider:       Provider,
		Repository:     p.Repository.facts(c),
		HeadRepository: c.FullName("workflow_run.head_repository.full_name", run.HeadRepository.FullName),
		Branch:         c.Branch("workflow_run.head_branch", run.HeadBranch),
		BaseBranch:     c.Branch("workflow_run.pull_requests.base.ref", p.Repository.baseBranch(run.PullRequests)),
		Commit:         c.Commit("workflow_run.head_sha", run.HeadSHA),
		Workflow:       c.Text("workflow_run.path", p.workflowIdentity(), 512),
		WorkflowName:   c.OptionalText("workflow_run.name", payload.FirstOf(run.Name, p.Workflow.Name), 255),
		RunID:          c.ID("workflow_run.id", run.ID),
		RunAttempt:     c.Attempt("workflow_run.run_attempt", run.RunAttempt),
		RunURL:         c.URL("workflow_run.html_url", run.HTMLURL),
		Conclusion:     run.Conclusion,
		Actor:          c.OptionalText("workflow_run.triggering_actor.login", payload.FirstOf(run.TriggeringActor.Login, run.Actor.Login), 100),
		FinishedAt:     c.OptionalTime("workflow_run.updated_at", run.UpdatedAt),
		CommitAuthor:   c.OptionalText("workflow_run.head_commit.author.email", run.HeadCommit.Author.Email, 320),
		Claims:         []string{runName(run.ID)},
		SameAs:         []string{runName(run.ID)},
	}
	// The workflow's name is that of the file, which workflow_job has too; a run's may have been chosen for it alone.
	if name := c.OptionalText("workflow.name", payload.FirstOf(p.Workflow.Name, run.Name), 255); name != "" {
		f.Claims = append(f.Claims, runsDisplayName(name))
		f.SameAs = append(f.SameAs, jobsDisplayName(name))
	}
	f.WorkflowName = payload.FirstOf(f.WorkflowName, f.Workflow)
	return f
}

// workflowIdentity is the workflow's path without the "@ref" that GitHub adds for required and reusable workflows,
// else its name: a path survives a change of the display name, and the run key must not change with that.
func (p runPayload) workflowIdentity() string {
	path := payload.FirstOf(p.Run.Path, p.Workflow.Path)
	path, _, _ = strings.Cut(path, "@")
	return payload.FirstOf(path, p.Run.Name, p.Workflow.Name)
}

// jobPayload is the part of a workflow_job delivery that sre-agent reads.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_job
type jobPayload struct {
	Action     string     `json:"action"`
	Repository repository `json:"repository"`
	Sender     user       `json:"sender"`
	Job        *struct {
		RunID        int64  `json:"run_id"`
		RunAttempt   int    `json:"run_attempt"`
		WorkflowName string `json:"workflow_name"`
		HeadBranch   string `json:"head_branch"`
		HeadSHA      string `json:"head_sha"`
		HTMLURL      string `json:"html_url"`
		Conclusion   string `json:"conclusion"`
		CompletedAt  string `json:"completed_at"`
	} `json:"workflow_job"`
}

func (p jobPayload) event() (webhook.Event, error) {
	switch {
	case p.Action == "":
		return webhook.Event{}, payload.Missing("action")
	case p.Job == nil:
		return webhook.Event{}, payload.Missing("workflow_job")
	}
	kind, reason := conclude(p.Action, p.Job.Conclusion)
	switch kind {
	case webhook.Success:
		reason = webhook.IgnoredJobSuccess
	case webhook.Failure:
		reason = barred(p.Job.HeadBranch)
		if reason == "" && !p.Repository.forkless() {
			// The payload has the name of the head's branch, and nothing that says whose branch it is.
			reason = IgnoredOriginUnknown
		}
	}
	if reason != "" {
		return webhook.Ignore(reason), nil
	}
	return told(webhook.Failure, p.failure)
}

func (p jobPayload) failure(c *payload.Checks) ci.Failure {
	job := p.Job
	name := c.OptionalText("workflow_job.workflow_name", job.WorkflowName, 255)
	workflow := payload.FirstOf(name, runAsWorkflow(job.RunID))
	f := ci.Failure{
		Provider:     Provider,
		Repository:   p.Repository.facts(c),
		Branch:       c.Branch("workflow_job.head_branch", job.HeadBranch),
		BaseBranch:   p.Repository.DefaultBranch,
		Commit:       c.Commit("workflow_job.head_sha", job.HeadSHA),
		Workflow:     workflow,
		WorkflowName: workflow,
		RunID:        c.ID("workflow_job.run_id", job.RunID),
		RunAttempt:   c.Attempt("workflow_job.run_attempt", job.RunAttempt),
		RunURL:       c.URL("workflow_job.html_url", job.HTMLURL),
		Conclusion:   job.Conclusion,
		Actor:        c.OptionalText("sender.login", p.Sender.Login, 100),
		FinishedAt:   c.OptionalTime("workflow_job.completed_at", job.CompletedAt),
		Claims:       []string{runName(job.RunID)},
		SameAs:       []string{runName(job.RunID)},
	}
	f.HeadRepository = f.Repository.FullName()
	if name != "" {
		f.Claims = append(f.Claims, jobsDisplayName(name))
		f.SameAs = append(f.SameAs, runsDisplayName(name))
	}
	return f
}
