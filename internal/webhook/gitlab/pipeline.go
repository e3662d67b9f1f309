package gitlab

import (
	"encoding/json"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// pipelinePayload is the part of a pipeline event that sre-agent reads.
// https://docs.gitlab.com/user/project/integrations/webhook_events/#pipeline-events
type pipelinePayload struct {
	Kind       string `json:"object_kind"`
	Attributes *struct {
		ID         int64  `json:"id"`
		Name       string `json:"name"`
		Ref        string `json:"ref"`
		Tag        bool   `json:"tag"`
		SHA        string `json:"sha"`
		Source     string `json:"source"`
		Status     string `json:"status"`
		FinishedAt string `json:"finished_at"`
		URL        string `json:"url"`
	} `json:"object_attributes"`
	MergeRequest *struct {
		SourceBranch    string `json:"source_branch"`
		SourceProjectID int64  `json:"source_project_id"`
		TargetBranch    string `json:"target_branch"`
		TargetProjectID int64  `json:"target_project_id"`
	} `json:"merge_request"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	Project project `json:"project"`
	Commit  struct {
		Author struct {
			Email string `json:"email"`
		} `json:"author"`
	} `json:"commit"`
	SourcePipeline *struct{} `json:"source_pipeline"`
}

func parsePipeline(body []byte) (webhook.Event, error) {
	var p pipelinePayload
	if err := json.Unmarshal(body, &p); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	if p.Kind != "pipeline" || p.Attributes == nil {
		return webhook.Event{}, payload.Missing("object_attributes of a pipeline")
	}
	branch := p.branch()
	kind, reason := decide(p.Attributes.Status, branch, p.Attributes.Tag)
	if kind == webhook.Success && (p.SourcePipeline != nil || p.Attributes.Source == "parent_pipeline") {
		kind, reason = webhook.Ignored, IgnoredChildSuccess
	}
	if kind == webhook.Ignored {
		return webhook.Ignore(reason), nil
	}
	f, err := p.normalise(branch)
	if err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: f}, nil
}

// branch is the source branch: servers differ in whether a merge request's pipeline has that or the request's own ref.
func (p pipelinePayload) branch() string {
	if p.MergeRequest != nil && strings.HasPrefix(p.Attributes.Ref, "refs/merge-requests/") {
		return p.MergeRequest.SourceBranch
	}
	return p.Attributes.Ref
}

func (p pipelinePayload) normalise(branch string) (ci.Failure, error) {
	a := p.Attributes
	var c payload.Checks
	repo := p.Project.repository(&c)
	f := ci.Failure{
		Provider:       Provider,
		Repository:     repo,
		HeadRepository: p.headRepository(repo),
		Branch:         c.Branch("object_attributes.ref", branch),
		BaseBranch:     c.OptionalBranch("merge_request.target_branch", p.baseBranch()),
		Commit:         c.Commit("object_attributes.sha", a.SHA),
		Workflow:       Workflow,
		WorkflowName:   c.OptionalText("object_attributes.name", payload.FirstOf(a.Name, workflowName), 255),
		RunID:          c.ID("object_attributes.id", a.ID),
		RunAttempt:     1,
		RunURL:         c.URL("object_attributes.url", payload.FirstOf(a.URL, p.Project.WebURL+"/-/pipelines/"+payload.Decimal(a.ID))),
		Conclusion:     a.Status,
		Actor:          c.OptionalText("user.username", p.User.Username, 255),
		FinishedAt:     finished(&c, "object_attributes.finished_at", a.FinishedAt),
		CommitAuthor:   c.OptionalText("commit.author.email", p.Commit.Author.Email, 320),
	}
	if err := c.Err(); err != nil {
		return ci.Failure{}, err
	}
	return f, nil
}

// headRepository is the fork that a merge request comes from. Only its id is known; GitLab answers to "/projects/<id>".
func (p pipelinePayload) headRepository(repo ci.Repository) string {
	if p.MergeRequest != nil && p.MergeRequest.SourceProjectID != p.Project.ID {
		return "projects/" + payload.Decimal(p.MergeRequest.SourceProjectID)
	}
	return repo.FullName()
}

// baseBranch is the branch that a merge request of this very project goes into, else the default branch.
func (p pipelinePayload) baseBranch() string {
	if p.MergeRequest != nil && p.MergeRequest.TargetProjectID == p.Project.ID {
		return payload.FirstOf(p.MergeRequest.TargetBranch, p.Project.DefaultBranch)
	}
	return p.Project.DefaultBranch
}
