package github

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
)

// The reasons for ignoring a delivery. With conclusionReasons they are the whole set.
const (
	IgnoredPing             = "ping"
	IgnoredEventNotUsed     = "event_not_used"     // an event that GitHub sends and sre-agent has no use for
	IgnoredUnknownEvent     = "unknown_event"      // an event that this version has never heard of
	IgnoredNotCompleted     = "not_completed"      // a workflow run that has only been requested or begun
	IgnoredStartupFailure   = "startup_failure"    // the workflow file itself is broken: no job ran, there is no log
	IgnoredNoBranch         = "no_branch"          // the commit is on no branch any more
	IgnoredOwnBranch        = "own_branch"         // sre-agent's own branch: working on it would be a loop
	IgnoredNoHeadRepository = "no_head_repository" // the fork that the commit came from is gone
)

// conclusionReasons names the conclusions that are neither a failure nor a success.
// https://docs.github.com/en/rest/checks/runs (conclusion); null while a run is under way.
var conclusionReasons = map[string]string{
	"":                "conclusion_none",
	"action_required": "conclusion_action_required",
	"cancelled":       "conclusion_cancelled",
	"neutral":         "conclusion_neutral",
	"skipped":         "conclusion_skipped",
	"stale":           "conclusion_stale",
	"startup_failure": IgnoredStartupFailure,
}

// payload is the part of a workflow_run delivery that sre-agent reads.
type payload struct {
	Action     string     `json:"action"`
	Repository repository `json:"repository"`
	Workflow   struct {
		Name string `json:"name"`
		Path string `json:"path"`
	} `json:"workflow"`
	Run *workflowRun `json:"workflow_run"`
}

type repository struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	FullName      string `json:"full_name"`
	Owner         user   `json:"owner"`
	CloneURL      string `json:"clone_url"`
	HTMLURL       string `json:"html_url"`
	DefaultBranch string `json:"default_branch"`
}

type user struct {
	Login string `json:"login"`
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
	Actor           user          `json:"actor"`
	TriggeringActor user          `json:"triggering_actor"`
	PullRequests    []pullRequest `json:"pull_requests"`
	HeadCommit      struct {
		Author struct {
			Email string `json:"email"`
		} `json:"author"`
	} `json:"head_commit"`
}

type pullRequest struct {
	Base struct {
		Ref  string     `json:"ref"`
		Repo repository `json:"repo"`
	} `json:"base"`
}

// Parse says what a delivery means. Its errors are permanent (package fault): the same bytes fail again.
func Parse(event string, body []byte) (webhook.Event, error) {
	if event == "workflow_run" {
		return parseWorkflowRun(body)
	}
	if err := Valid(body); err != nil {
		return webhook.Event{}, err
	}
	switch {
	case event == "ping":
		return ignored(IgnoredPing), nil
	case knownEvents[event]:
		return ignored(IgnoredEventNotUsed), nil
	default:
		return ignored(IgnoredUnknownEvent), nil
	}
}

func ignored(reason string) webhook.Event {
	return webhook.Event{Kind: webhook.Ignored, Reason: reason}
}

func parseWorkflowRun(body []byte) (webhook.Event, error) {
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return webhook.Event{}, malformed(err)
	}
	if p.Action == "" {
		return webhook.Event{}, missing("action")
	}
	if p.Run == nil {
		return webhook.Event{}, missing("workflow_run")
	}
	kind, reason := decide(p)
	if kind == webhook.Ignored {
		return ignored(reason), nil
	}
	failure, err := normalise(p)
	if err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: failure}, nil
}

// decide says what kind of event a workflow run is.
func decide(p payload) (kind, reason string) {
	if p.Action != "completed" {
		return webhook.Ignored, IgnoredNotCompleted
	}
	switch p.Run.Conclusion {
	case "failure", "timed_out":
		kind = webhook.Failure
	case "success":
		kind = webhook.Success
	default:
		if reason, ok := conclusionReasons[p.Run.Conclusion]; ok {
			return webhook.Ignored, reason
		}
		return webhook.Ignored, "conclusion_unknown"
	}
	switch {
	case p.Run.HeadBranch == "":
		return webhook.Ignored, IgnoredNoBranch
	case strings.HasPrefix(p.Run.HeadBranch, webhook.OwnBranchPrefix):
		return webhook.Ignored, IgnoredOwnBranch
	case p.Run.HeadRepository == nil:
		// Without it nobody can tell a fork from the repository itself, and the two are trusted differently.
		return webhook.Ignored, IgnoredNoHeadRepository
	}
	return kind, ""
}

// normalise brings the facts into the one schema and holds each of them to its bounds.
func normalise(p payload) (ci.Failure, error) {
	run, repo := p.Run, p.Repository
	var c checks
	f := ci.Failure{
		Provider: Provider,
		Repository: ci.Repository{
			ID:            c.id("repository.id", repo.ID),
			Owner:         c.part("repository.owner.login", repo.Owner.Login),
			Name:          c.part("repository.name", repo.Name),
			CloneURL:      c.url("repository.clone_url", repo.CloneURL),
			WebURL:        c.optionalURL("repository.html_url", repo.HTMLURL),
			DefaultBranch: c.branch("repository.default_branch", repo.DefaultBranch),
		},
		HeadRepository: c.fullName("workflow_run.head_repository.full_name", run.HeadRepository.FullName),
		Branch:         c.branch("workflow_run.head_branch", run.HeadBranch),
		BaseBranch:     c.branch("workflow_run.pull_requests.base.ref", baseBranch(run, repo)),
		Commit:         c.commit("workflow_run.head_sha", run.HeadSHA),
		Workflow:       c.text("workflow_run.path", workflowIdentity(p), 512),
		WorkflowName:   c.optionalText("workflow_run.name", firstOf(run.Name, p.Workflow.Name), 255),
		RunID:          c.id("workflow_run.id", run.ID),
		RunAttempt:     c.attempt("workflow_run.run_attempt", run.RunAttempt),
		RunURL:         c.url("workflow_run.html_url", run.HTMLURL),
		Conclusion:     run.Conclusion,
		Actor:          c.optionalText("workflow_run.triggering_actor.login", firstOf(run.TriggeringActor.Login, run.Actor.Login), 100),
		CommitAuthor:   c.optionalText("workflow_run.head_commit.author.email", run.HeadCommit.Author.Email, 320),
	}
	if c.err != nil {
		return ci.Failure{}, c.err
	}
	if f.WorkflowName == "" {
		f.WorkflowName = f.Workflow
	}
	return f, nil
}

// workflowIdentity is the workflow's path without the "@ref" that GitHub adds for required and reusable workflows,
// else its name: a path survives a change of the display name, and the run key must not change with that.
func workflowIdentity(p payload) string {
	path := firstOf(p.Run.Path, p.Workflow.Path)
	path, _, _ = strings.Cut(path, "@")
	return firstOf(path, p.Run.Name, p.Workflow.Name)
}

// baseBranch is the base of the first pull request into this repository, else the default branch. The list may
// also hold pull requests into other repositories of the same network, whose settings do not count here.
func baseBranch(run *workflowRun, repo repository) string {
	for _, pr := range run.PullRequests {
		if pr.Base.Ref != "" && (pr.Base.Repo.ID == 0 || pr.Base.Repo.ID == repo.ID) {
			return pr.Base.Ref
		}
	}
	return repo.DefaultBranch
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func decimal(id int64) string { return strconv.FormatInt(id, 10) }
