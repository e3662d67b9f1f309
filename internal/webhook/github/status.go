package github

import (
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// statusPayload is the part of a status delivery that sre-agent reads: other systems report to GitHub with them.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#status
type statusPayload struct {
	Repository repository `json:"repository"`
	Sender     user       `json:"sender"`

	ID        int64  `json:"id"`
	SHA       string `json:"sha"`
	Context   string `json:"context"`
	State     string `json:"state"`
	TargetURL string `json:"target_url"`
	UpdatedAt string `json:"updated_at"`
	Commit    struct {
		Commit headCommit `json:"commit"`
	} `json:"commit"`
	Branches []struct {
		Name   string `json:"name"`
		Commit struct {
			SHA string `json:"sha"`
		} `json:"commit"`
	} `json:"branches"`
}

func (p statusPayload) event() (webhook.Event, error) {
	var kind, reason string
	branch := p.branch()
	switch p.State {
	case "failure", "error":
		kind, reason = webhook.Failure, barred(branch)
	case "success":
		kind, reason = webhook.Success, barred(branch)
	case "pending":
		reason = webhook.IgnoredNotCompleted
	case "":
		return webhook.Event{}, payload.Missing("state")
	default:
		reason = "conclusion_unknown"
	}
	if reason != "" {
		return webhook.Ignore(reason), nil
	}
	return told(kind, func(c *payload.Checks) ci.Failure { return p.failure(c, branch) })
}

// branch is one whose head the commit is, and empty for none: the payload lists up to ten branches of the repository
// itself that have the commit anywhere. One of ours comes last, since the code is then somebody else's too; the default
// branch comes first, since a failure there keeps most people from their work.
func (p statusPayload) branch() string {
	found := ""
	for _, b := range p.Branches {
		if !strings.EqualFold(b.Commit.SHA, p.SHA) {
			continue
		}
		if b.Name == p.Repository.DefaultBranch {
			return b.Name
		}
		if found == "" || strings.HasPrefix(found, webhook.OwnBranchPrefix) {
			found = b.Name
		}
	}
	return found
}

func (p statusPayload) failure(c *payload.Checks, branch string) ci.Failure {
	context := c.Text("context", p.Context, 255)
	f := ci.Failure{
		Provider:     Provider,
		Repository:   p.Repository.facts(c),
		Branch:       c.Branch("branches.name", branch),
		BaseBranch:   p.Repository.DefaultBranch,
		Commit:       c.Commit("sha", p.SHA),
		Workflow:     context,
		WorkflowName: context,
		RunID:        c.ID("id", p.ID),
		RunAttempt:   1,
		RunURL:       c.OptionalURL("target_url", plainURL(p.TargetURL)),
		Conclusion:   p.State,
		Actor:        c.OptionalText("sender.login", p.Sender.Login, 100),
		FinishedAt:   c.OptionalTime("updated_at", p.UpdatedAt),
		CommitAuthor: c.OptionalText("commit.commit.author.email", p.Commit.Commit.Author.Email, 320),
	}
	f.HeadRepository = f.Repository.FullName()
	return f
}
