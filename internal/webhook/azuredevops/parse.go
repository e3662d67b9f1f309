package azuredevops

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// The reasons for ignoring a delivery that only Azure DevOps has, or only some providers.
const (
	IgnoredPartiallySucceeded = "partially_succeeded" // a step failed that may fail
	IgnoredFork               = "fork"                // a pull request from a fork, or one that does not say that it is from none
	IgnoredNoRepository       = "no_repository"       // the resource does not say where the code is, as version 1.0 does not
	IgnoredNotGit             = "not_git"             // the code is in TFVC or Subversion
	IgnoredNoCommit           = "no_commit"           // there is no full commit id
)

// resultReasons names the results of version 2.0 and the statuses of version 1.0 that are neither a failure nor a
// success. https://learn.microsoft.com/en-us/rest/api/azure/devops/build/builds/get#buildresult
var resultReasons = map[string]string{
	"":                   "conclusion_none",
	"none":               "conclusion_none",
	"partiallysucceeded": IgnoredPartiallySucceeded,
	"canceled":           "conclusion_canceled",
	"stopped":            "conclusion_canceled",
	"inprogress":         webhook.IgnoredNotCompleted,
	"cancelling":         webhook.IgnoredNotCompleted,
	"postponed":          webhook.IgnoredNotCompleted,
	"notstarted":         webhook.IgnoredNotCompleted,
}

// notification is the part of a body that sre-agent reads, whatever the version of its resource.
// https://learn.microsoft.com/en-us/azure/devops/service-hooks/events#build-completed
type notification struct {
	Resource   *resource  `json:"resource"`
	Containers containers `json:"resourceContainers"`
}

type containers struct {
	Project project `json:"project"`
}

type project struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type resource struct {
	ID         int64  `json:"id"`
	URL        string `json:"url"`
	Status     string `json:"status"`
	Result     string `json:"result"` // version 2.0; in version 1.0 the status is the result
	FinishTime string `json:"finishTime"`
	// SourceBranch and SourceVersion are those of version 2.0, SourceGetVersion ("LG:refs/heads/main:<commit>") of 1.0.
	SourceBranch     string            `json:"sourceBranch"`
	SourceVersion    string            `json:"sourceVersion"`
	SourceGetVersion string            `json:"sourceGetVersion"`
	TriggerInfo      map[string]string `json:"triggerInfo"`
	Parameters       string            `json:"parameters"` // JSON in a string
	Definition       definition        `json:"definition"`
	Project          project           `json:"project"`
	Repository       *repository       `json:"repository"`
	RequestedFor     person            `json:"requestedFor"`
}

type definition struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

type repository struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Name string `json:"name"`
	URL  string `json:"url"`
}

type person struct {
	DisplayName string `json:"displayName"`
}

// Parse says what a delivery means. Its errors are permanent (package fault): the same bytes fail again.
func Parse(event string, body []byte) (webhook.Event, error) {
	if event != "build.complete" {
		if err := payload.Valid(body); err != nil {
			return webhook.Event{}, err
		}
		return webhook.Ignore(otherEvent(event)), nil
	}
	var n notification
	if err := json.Unmarshal(body, &n); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	if n.Resource == nil {
		return webhook.Event{}, payload.Missing("resource")
	}
	kind, reason := decide(*n.Resource)
	if kind == webhook.Ignored {
		return webhook.Ignore(reason), nil
	}
	s, reason := where(n)
	if reason != "" {
		return webhook.Ignore(reason), nil
	}
	failure, err := normalise(n, s)
	if err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: failure}, nil
}

// otherEvent tells the events that Azure DevOps has from those that we have never heard of, by their families.
func otherEvent(event string) string {
	for _, family := range []string{"git.", "tfvc.", "workitem.", "ms.vss-", "build.", "elasticagentpool.", "advancedsecurity.", "message."} {
		if strings.HasPrefix(event, family) {
			return webhook.IgnoredEventNotUsed
		}
	}
	return webhook.IgnoredUnknownEvent
}

func decide(r resource) (kind, reason string) {
	switch result := strings.ToLower(payload.FirstOf(r.Result, r.Status)); {
	case result == "failed":
		return webhook.Failure, ""
	case result == "succeeded":
		return webhook.Success, ""
	case result == "completed": // a status of version 2.0 without its result
		return webhook.Ignored, "conclusion_none"
	case resultReasons[result] != "":
		return webhook.Ignored, resultReasons[result]
	default:
		return webhook.Ignored, "conclusion_unknown"
	}
}

// source is where the code of a build is.
type source struct {
	id           string // the repository's
	address      payload.GitAddress
	ref, commit  string
	branch, base string
}

// oldSource is the form of version 1.0: a kind of repository, a ref and a commit.
var oldSource = regexp.MustCompile(`^[A-Z]{1,4}:(refs/.+):([0-9a-fA-F]{40})$`)

// where finds the code, or the reason why nobody can.
func where(n notification) (source, string) {
	r := n.Resource
	s := source{ref: r.SourceBranch, commit: r.SourceVersion}
	if m := oldSource.FindStringSubmatch(r.SourceGetVersion); m != nil && s.ref == "" {
		s.ref, s.commit = m[1], m[2]
	}
	if reason := s.locate(n); reason != "" {
		return s, reason
	}
	if reason := s.findBranch(*r); reason != "" {
		return s, reason
	}
	switch {
	case strings.HasPrefix(s.branch, webhook.OwnBranchPrefix):
		return s, webhook.IgnoredOwnBranch
	case !payload.IsCommit(s.commit):
		return s, IgnoredNoCommit
	}
	return s, ""
}

// findBranch reads the branch from the ref. A pull request's ref and commit are of a merge that is on no branch, so
// those of the pull request itself count.
func (s *source) findBranch(r resource) string {
	branch, ok := strings.CutPrefix(s.ref, "refs/heads/")
	if ok && branch != "" {
		s.branch = branch
		return ""
	}
	if !strings.HasPrefix(s.ref, "refs/pull/") || r.TriggerInfo["pr.sourceBranch"] == "" || r.TriggerInfo["pr.sourceSha"] == "" {
		return webhook.IgnoredNoBranch
	}
	if !strings.EqualFold(r.TriggerInfo["pr.isFork"], "false") {
		return IgnoredFork
	}
	s.branch, s.commit = strings.TrimPrefix(r.TriggerInfo["pr.sourceBranch"], "refs/heads/"), r.TriggerInfo["pr.sourceSha"]
	s.base = strings.TrimPrefix(payload.MemberText([]byte(r.Parameters), "system.pullRequest.targetBranch"), "refs/heads/")
	return ""
}

// normalise brings the facts into the one schema and holds each of them to its bounds. A definition's number is unique
// in its organisation only, so the project's id stands before it.
func normalise(n notification, s source) (ci.Failure, error) {
	r := n.Resource
	var c payload.Checks
	projectID := c.Identity("resource.project.id", payload.FirstOf(r.Project.ID, n.Containers.Project.ID))
	definitionID := c.ID("resource.definition.id", r.Definition.ID)
	f := ci.Failure{
		Provider: Provider,
		Repository: ci.Repository{
			ID:       c.Identity("resource.repository.id", s.id),
			Owner:    s.address.Owner,
			Name:     s.address.Name,
			CloneURL: c.URL("resource.repository.url", s.cloneURL(*r.Repository)),
			WebURL:   s.webURL(*r.Repository),
		},
		HeadRepository: s.address.FullName(),
		Branch:         c.Branch("resource.sourceBranch", s.branch),
		BaseBranch:     c.OptionalBranch("resource.parameters", s.base),
		Commit:         c.Commit("resource.sourceVersion", s.commit),
		Workflow:       projectID + "/" + definitionID,
		WorkflowName:   c.Text("resource.definition.name", payload.FirstOf(r.Definition.Name, definitionID), 255),
		RunID:          c.ID("resource.id", r.ID),
		RunAttempt:     1,
		RunURL:         c.URL("resource.url", r.URL),
		Conclusion:     payload.FirstOf(r.Result, r.Status),
		Actor:          c.OptionalText("resource.requestedFor.displayName", r.RequestedFor.DisplayName, 255),
		FinishedAt:     c.OptionalTime("resource.finishTime", r.FinishTime),
	}
	if err := c.Err(); err != nil {
		return ci.Failure{}, err
	}
	return f, nil
}
