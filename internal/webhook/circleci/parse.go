package circleci

import (
	"encoding/json"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// The reasons for ignoring a delivery that only some providers have.
const (
	IgnoredNoRepository     = "no_repository"      // neither vcs nor trigger_parameters says where the code is
	IgnoredNoCommit         = "no_commit"          // there is no full commit id
	IgnoredNoHeadRepository = "no_head_repository" // a pull request whose own repository is not told: it may be a fork
)

// statusReasons names the statuses that are neither a failure nor a success. "error" is a configuration that does not
// compile or a trouble of CircleCI's own: no job ran, there is no log.
var statusReasons = map[string]string{
	"":                    "conclusion_none",
	"canceled":            "conclusion_canceled",
	"error":               "conclusion_error",
	"unauthorized":        "conclusion_unauthorized",
	"not_run":             "conclusion_not_run",
	"not_running":         webhook.IgnoredNotCompleted,
	"queued":              webhook.IgnoredNotCompleted,
	"running":             webhook.IgnoredNotCompleted,
	"failing":             webhook.IgnoredNotCompleted,
	"on_hold":             webhook.IgnoredNotCompleted,
	"blocked":             webhook.IgnoredNotCompleted,
	"infrastructure_fail": "conclusion_infrastructure_fail",
	"terminated-unknown":  "conclusion_terminated",
}

// event is the part of a delivery that sre-agent reads.
// https://circleci.com/docs/reference/outbound-webhooks-reference/
type event struct {
	HappenedAt string   `json:"happened_at"`
	Project    project  `json:"project"`
	Workflow   workflow `json:"workflow"`
	Job        *job     `json:"job"`
	Pipeline   pipeline `json:"pipeline"`
}

type project struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
}

type workflow struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Status    string `json:"status"`
	StoppedAt string `json:"stopped_at"`
	URL       string `json:"url"`
}

type job struct {
	Status    string `json:"status"`
	StoppedAt string `json:"stopped_at"`
}

// pipeline has VCS for GitHub OAuth and Bitbucket Cloud, Parameters for GitHub App, GitLab and Bitbucket Data Center.
type pipeline struct {
	Number     int64       `json:"number"`
	VCS        *vcs        `json:"vcs"`
	Parameters *parameters `json:"trigger_parameters"`
}

type parameters struct {
	Git       git     `json:"git"`
	GitLab    git     `json:"gitlab"`
	GitHubApp git     `json:"github_app"`
	CircleCI  trigger `json:"circleci"`
}

type trigger struct {
	EventType string `json:"event_type"`
}

type vcs struct {
	Origin   string `json:"origin_repository_url"`
	Target   string `json:"target_repository_url"`
	Revision string `json:"revision"`
	Branch   string `json:"branch"`
	Commit   commit `json:"commit"`
}

type commit struct {
	Author author `json:"author"`
}

type author struct {
	Email string `json:"email"`
}

type git struct {
	Branch      string `json:"branch"`
	SHA         string `json:"checkout_sha"`
	CommitSHA   string `json:"commit_sha"`
	CheckoutURL string `json:"checkout_url"`
	RepoURL     string `json:"repo_url"`
	WebURL      string `json:"web_url"`
	Email       string `json:"commit_author_email"`
	Default     string `json:"default_branch"`
	Type        string `json:"type"`
}

// Parse says what a delivery means. Its errors are permanent (package fault): the same bytes fail again.
func Parse(name string, body []byte) (webhook.Event, error) {
	if name != "workflow-completed" && name != "job-completed" {
		if err := payload.Valid(body); err != nil {
			return webhook.Event{}, err
		}
		return webhook.Ignore(webhook.IgnoredUnknownEvent), nil
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	kind, reason := decide(e)
	if kind == webhook.Ignored {
		return webhook.Ignore(reason), nil
	}
	s, reason := where(e)
	if reason != "" {
		return webhook.Ignore(reason), nil
	}
	failure, err := normalise(e, s)
	if err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: failure}, nil
}

// status is that of the job where there is one: an example of CircleCI's has a job under the type workflow-completed.
func (e event) status() string {
	if e.Job != nil {
		return e.Job.Status
	}
	return e.Workflow.Status
}

func decide(e event) (kind, reason string) {
	switch status := e.status(); {
	case status == "failed", status == "timedout":
		return webhook.Failure, ""
	case status == "success" && e.Job != nil:
		return webhook.Ignored, webhook.IgnoredJobSuccess
	case status == "success":
		return webhook.Success, ""
	case statusReasons[status] != "":
		return webhook.Ignored, statusReasons[status]
	default:
		return webhook.Ignored, "conclusion_unknown"
	}
}

// source is where the code of a pipeline is.
type source struct {
	target, origin                       payload.GitAddress
	commit, branch, defaultBranch, email string
}

// where finds the code, or the reason why nobody can.
func where(e event) (source, string) {
	var s source
	var found, foundOrigin bool
	if v := e.Pipeline.VCS; v != nil {
		s = source{commit: v.Revision, branch: v.Branch, email: v.Commit.Author.Email}
		s.target, found = payload.ParseGitAddress(v.Target)
		s.origin, foundOrigin = payload.ParseGitAddress(payload.FirstOf(v.Origin, v.Target))
	} else if p := e.Pipeline.Parameters; p != nil {
		s = source{
			commit:        payload.FirstOf(p.Git.SHA, p.GitLab.SHA, p.GitLab.CommitSHA, p.GitHubApp.CommitSHA),
			branch:        payload.FirstOf(p.Git.Branch, p.GitLab.Branch, p.GitHubApp.Branch),
			email:         payload.FirstOf(p.Git.Email, p.GitLab.Email, p.GitHubApp.Email),
			defaultBranch: p.Git.Default,
		}
		s.target, found = payload.ParseGitAddress(payload.FirstOf(p.Git.CheckoutURL, p.Git.RepoURL, p.GitLab.WebURL, p.GitLab.RepoURL, p.GitHubApp.RepoURL))
		// Only a push is sure to be from the repository itself; other events do not say where the commit is from.
		kind := strings.ToLower(p.CircleCI.EventType + " " + p.GitLab.Type)
		s.origin, foundOrigin = s.target, !strings.Contains(kind, "pull") && !strings.Contains(kind, "merge")
	}
	switch {
	case !found:
		return s, IgnoredNoRepository
	case s.branch == "":
		return s, webhook.IgnoredNoBranch
	case strings.HasPrefix(s.branch, webhook.OwnBranchPrefix):
		return s, webhook.IgnoredOwnBranch
	case !foundOrigin:
		return s, IgnoredNoHeadRepository
	case !payload.IsCommit(s.commit):
		return s, IgnoredNoCommit
	}
	return s, ""
}

// normalise brings the facts into the one schema and holds each of them to its bounds. A workflow that runs again has
// a new id, so its name is what stays.
func normalise(e event, s source) (ci.Failure, error) {
	stopped := e.Workflow.StoppedAt
	if e.Job != nil {
		stopped = e.Job.StoppedAt
	}
	address := e.Workflow.URL
	if address == "" { // as pipelines of GitHub App have it
		address = "https://app.circleci.com/pipelines/" + e.Project.Slug + "/" + payload.Decimal(e.Pipeline.Number) + "/workflows/" + e.Workflow.ID
	}
	var c payload.Checks
	f := ci.Failure{
		Provider: Provider,
		Repository: ci.Repository{
			ID:            c.Identity("project.id", e.Project.ID),
			Owner:         s.target.Owner,
			Name:          s.target.Name,
			CloneURL:      c.URL("pipeline.vcs.target_repository_url", s.target.CloneURL()),
			WebURL:        s.target.WebURL(),
			DefaultBranch: c.OptionalBranch("pipeline.trigger_parameters.git.default_branch", s.defaultBranch),
		},
		HeadRepository: s.origin.FullName(),
		Branch:         c.Branch("pipeline.vcs.branch", s.branch),
		BaseBranch:     s.defaultBranch,
		Commit:         c.Commit("pipeline.vcs.revision", s.commit),
		Workflow:       c.Text("workflow.name", e.Workflow.Name, 255),
		WorkflowName:   e.Workflow.Name,
		RunID:          c.Identity("workflow.id", e.Workflow.ID),
		RunAttempt:     1,
		RunURL:         c.URL("workflow.url", address),
		Conclusion:     c.Text("workflow.status", e.status(), 64),
		FinishedAt:     c.OptionalTime("workflow.stopped_at", payload.FirstOf(stopped, e.HappenedAt)),
		CommitAuthor:   c.OptionalText("pipeline.vcs.commit.author.email", s.email, 320),
	}
	if err := c.Err(); err != nil {
		return ci.Failure{}, err
	}
	return f, nil
}

// Repository returns the owner and name of the repository that a body speaks of, and empty strings for none. It reads
// only the part of the body that names the code.
func Repository(body payload.Object) (owner, name string) {
	var p pipeline
	if value := body.Member("pipeline"); value == nil || json.Unmarshal(value, &p) != nil {
		return "", ""
	}
	s, reason := where(event{Pipeline: p})
	if reason == IgnoredNoRepository {
		return "", ""
	}
	return s.target.Owner, s.target.Name
}
