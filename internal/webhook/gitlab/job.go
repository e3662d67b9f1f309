package gitlab

import (
	"encoding/json"
	"strconv"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// jobPayload is the part of a job event that sre-agent reads. Its commit.id is the pipeline's id, not the commit's:
// that is in sha. A job that is retried is a new job with a new build_id, in the same pipeline.
// https://docs.gitlab.com/user/project/integrations/webhook_events/#job-events
type jobPayload struct {
	Kind         string `json:"object_kind"`
	Ref          string `json:"ref"`
	Tag          bool   `json:"tag"`
	SHA          string `json:"sha"`
	BuildID      int64  `json:"build_id"`
	Status       string `json:"build_status"`
	FinishedAt   string `json:"build_finished_at"`
	AllowFailure bool   `json:"build_allow_failure"`
	PipelineID   int64  `json:"pipeline_id"`
	ProjectID    int64  `json:"project_id"`
	User         struct {
		Username string `json:"username"`
	} `json:"user"`
	Commit struct {
		ID          json.RawMessage `json:"id"`
		AuthorEmail string          `json:"author_email"`
	} `json:"commit"`
	Repository repository `json:"repository"`
	// Project is in the events of newer servers only.
	Project *project `json:"project"`
}

func parseJob(body []byte) (webhook.Event, error) {
	var p jobPayload
	if err := json.Unmarshal(body, &p); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	if p.Kind != "build" {
		return webhook.Event{}, payload.Missing("object_kind build")
	}
	kind, reason := decide(p.Status, p.Ref, p.Tag)
	switch {
	case kind == webhook.Success:
		kind, reason = webhook.Ignored, webhook.IgnoredJobSuccess
	case kind == webhook.Failure && p.AllowFailure:
		kind, reason = webhook.Ignored, webhook.IgnoredAllowed
	}
	if kind == webhook.Ignored {
		return webhook.Ignore(reason), nil
	}
	f, err := p.normalise()
	if err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: f}, nil
}

func (p jobPayload) normalise() (ci.Failure, error) {
	var c payload.Checks
	repo := p.project().repository(&c)
	f := ci.Failure{
		Provider:       Provider,
		Repository:     repo,
		HeadRepository: repo.FullName(),
		Branch:         c.Branch("ref", p.Ref),
		BaseBranch:     repo.DefaultBranch,
		Commit:         c.Commit("sha", p.SHA),
		Workflow:       Workflow,
		WorkflowName:   workflowName,
		RunID:          c.ID("pipeline_id", p.pipeline()),
		RunAttempt:     1,
		RunURL:         c.URL("repository.homepage", repo.WebURL+"/-/jobs/"+c.ID("build_id", p.BuildID)),
		Conclusion:     p.Status,
		Actor:          c.OptionalText("user.username", p.User.Username, 255),
		FinishedAt:     finished(&c, "build_finished_at", p.FinishedAt),
		CommitAuthor:   c.OptionalText("commit.author_email", p.Commit.AuthorEmail, 320),
	}
	if err := c.Err(); err != nil {
		return ci.Failure{}, err
	}
	return f, nil
}

// pipeline is the pipeline's id, which events of older servers have in commit.id alone.
func (p jobPayload) pipeline() int64 {
	if p.PipelineID != 0 {
		return p.PipelineID
	}
	id, _ := strconv.ParseInt(string(p.Commit.ID), 10, 64)
	return id
}

func (p jobPayload) project() project {
	r := project{
		ID: p.ProjectID, WebURL: p.Repository.Homepage, GitHTTPURL: p.Repository.GitHTTPURL, PathWithNamespace: p.Repository.path(),
	}
	if p.Project != nil {
		r.PathWithNamespace = payload.FirstOf(p.Project.PathWithNamespace, r.PathWithNamespace)
		r.DefaultBranch = p.Project.DefaultBranch
	}
	return r
}
