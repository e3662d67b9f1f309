package gitea

import (
	"encoding/json"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// actionPayload is the part of Forgejo's action_run_failure, action_run_recover and action_run_success events that
// sre-agent reads: modules/structs/hook.go (ActionPayload) and action.go (ActionRun) of Forgejo. What happened is read
// from the run's status: a run that was cancelled can come as a failure. Everything of the commit is in event_payload,
// the webhook that started the run.
type actionPayload struct {
	Repository *repository `json:"repository"`
	Run        *actionRun  `json:"run"`
}

type actionRun struct {
	ID           int64       `json:"id"`
	Repository   *repository `json:"repository"`
	WorkflowID   string      `json:"workflow_id"`
	TriggerUser  user        `json:"trigger_user"`
	PrettyRef    string      `json:"prettyref"`
	CommitSHA    string      `json:"commit_sha"`
	EventPayload string      `json:"event_payload"`
	Status       string      `json:"status"`
	Stopped      string      `json:"stopped"`
	HTMLURL      string      `json:"html_url"`
}

// trigger is the webhook that started a run, whatever that was. Of one that cannot be read nothing is used.
type trigger struct {
	Ref         string    `json:"ref"`
	RefType     string    `json:"ref_type"`
	Release     *struct{} `json:"release"`
	PullRequest *struct {
		Head struct {
			Ref  string      `json:"ref"`
			Repo *repository `json:"repo"`
		} `json:"head"`
		Base struct {
			Ref string `json:"ref"`
		} `json:"base"`
	} `json:"pull_request"`
	HeadCommit struct {
		ID     string `json:"id"`
		Author struct {
			Email string `json:"email"`
		} `json:"author"`
	} `json:"head_commit"`
}

func (r actionRun) trigger() trigger {
	var t trigger
	if json.Unmarshal([]byte(r.EventPayload), &t) != nil {
		return trigger{}
	}
	return t
}

// isPullRequest tells the run of a pull request, "#12", from one on a branch. What pull_request_target starts is on
// the base branch, though its trigger is a pull request.
func (r actionRun) isPullRequest() bool { return strings.HasPrefix(r.PrettyRef, "#") }

// branch is the run's branch, and empty for a tag's: the pretty ref alone does not tell the two apart.
func (r actionRun) branch() string {
	t := r.trigger()
	switch {
	case r.isPullRequest() && t.PullRequest != nil:
		return t.PullRequest.Head.Ref
	case r.isPullRequest(), t.RefType == "tag", t.Release != nil, strings.HasPrefix(t.Ref, "refs/tags/"):
		return ""
	case strings.HasPrefix(t.Ref, "refs/heads/"):
		return strings.TrimPrefix(t.Ref, "refs/heads/")
	}
	return r.PrettyRef
}

// on ignores what is on no branch, on our own, or on one of a fork that is gone.
func (r actionRun) on(kind, reason string) (string, string) {
	kind, reason = on(r.branch(), kind, reason)
	if kind != webhook.Ignored && r.isPullRequest() && r.trigger().PullRequest.Head.Repo == nil {
		return webhook.Ignored, IgnoredNoHeadRepository
	}
	return kind, reason
}

func (r actionRun) normalise(c *payload.Checks, in *repository) ci.Failure {
	if in == nil {
		in = r.Repository
	}
	repo := in.normalise(c)
	t := r.trigger()
	f := ci.Failure{
		Repository:     repo,
		HeadRepository: repo.FullName(),
		Branch:         c.Branch("run.prettyref", r.branch()),
		BaseBranch:     repo.DefaultBranch,
		Commit:         c.Commit("run.commit_sha", r.CommitSHA),
		Workflow:       c.Text("run.workflow_id", r.WorkflowID, 512),
		WorkflowName:   r.WorkflowID,
		RunID:          c.ID("run.id", r.ID),
		RunAttempt:     1,
		RunURL:         c.URL("run.html_url", r.HTMLURL),
		Conclusion:     r.Status,
		Actor:          c.OptionalText("run.trigger_user.login", r.TriggerUser.Login, 100),
		FinishedAt:     at(c, "run.stopped", r.Stopped),
	}
	if r.isPullRequest() {
		f.HeadRepository = c.FullName("run.event_payload.pull_request.head.repo.full_name", t.PullRequest.Head.Repo.FullName)
		f.BaseBranch = c.Branch("run.event_payload.pull_request.base.ref", t.PullRequest.Base.Ref)
	}
	if strings.EqualFold(t.HeadCommit.ID, r.CommitSHA) {
		f.CommitAuthor = c.OptionalText("run.event_payload.head_commit.author.email", t.HeadCommit.Author.Email, 320)
	}
	return f
}

func (p actionPayload) missing() string {
	switch {
	case p.Run == nil:
		return "run"
	case p.Repository == nil && p.Run.Repository == nil:
		return "run.repository"
	}
	return ""
}

func (p actionPayload) decide() (kind, reason string) { return p.Run.on(result(p.Run.Status)) }

func (p actionPayload) normalise(c *payload.Checks) ci.Failure {
	return p.Run.normalise(c, p.Repository)
}

// actionJobPayload is the part of Forgejo's workflow_job_failure event and its kin that sre-agent reads. It has the
// whole run, so that it is one with the run's own event.
type actionJobPayload struct {
	actionPayload
	Job *struct {
		Status  string `json:"status"`
		Stopped string `json:"stopped"`
	} `json:"job"`
}

func (p actionJobPayload) missing() string {
	if p.Job == nil {
		return "job"
	}
	return p.actionPayload.missing()
}

func (p actionJobPayload) decide() (kind, reason string) { return p.Run.on(job(result(p.Job.Status))) }

func (p actionJobPayload) normalise(c *payload.Checks) ci.Failure {
	f := p.Run.normalise(c, p.Repository)
	f.Conclusion, f.FinishedAt = p.Job.Status, at(c, "job.stopped", p.Job.Stopped)
	return f
}
