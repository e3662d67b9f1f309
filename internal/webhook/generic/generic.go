// Package generic reads webhooks of systems that sre-agent has no package for: signed after the Standard Webhooks
// specification, with a JSON shape of our own that docs/providers/generic.md describes. All of it is pure.
//
// It promises that nothing which the secret's owner did not sign passes Verify, that every body ends as an event, a
// named reason to ignore it, or an error that says where, and that no field leaves Parse unbounded or with control
// characters in it.
package generic

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
)

// Provider is this provider's name in failures, subjects and records.
const Provider = "generic"

// IgnoredNoCommit is the reason for ignoring a delivery without a full commit id.
const IgnoredNoCommit = "no_commit"

// Webhooks is the generic endpoint's row in the table of providers.
func Webhooks() webhook.Provider {
	return webhook.Provider{
		Name: Provider, Signs: true, Credentials: []string{sign.HeaderSignature},
		Verify: Verify, Identify: Identify, Repository: Repository, Parse: Parse,
	}
}

// Verify checks the signature over the id, the time and the body, and the time.
func Verify(r *webhook.Request, keys webhook.Keys) error { return sign.Standard(r, keys.Signing) }

var (
	deliveryID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	eventName  = regexp.MustCompile(`^[a-z0-9_.:-]{1,64}$`)
)

// Identify returns the header webhook-id, which is signed and the same when a message is sent again, and the body's
// "type".
func Identify(r *webhook.Request) (id, event string, err error) {
	if id, err = r.Named(sign.HeaderID, deliveryID); err != nil {
		return "", "", err
	}
	if event = strings.ToLower(payload.MemberText(r.Body, "type")); !eventName.MatchString(event) {
		return "", "", fmt.Errorf("field type: want a value that matches %s", eventName)
	}
	return id, event, nil
}

// message is the body. Fields that are not here are left alone, so that a sender may add its own.
type message struct {
	Timestamp string `json:"timestamp"`
	Data      *data  `json:"data"`
}

type data struct {
	Repository     repository `json:"repository"`
	HeadRepository string     `json:"head_repository"`
	Branch         string     `json:"branch"`
	BaseBranch     string     `json:"base_branch"`
	Commit         string     `json:"commit"`
	Workflow       string     `json:"workflow"`
	WorkflowName   string     `json:"workflow_name"`
	RunID          string     `json:"run_id"`
	RunAttempt     int        `json:"run_attempt"`
	RunURL         string     `json:"run_url"`
	Conclusion     string     `json:"conclusion"`
	Actor          string     `json:"actor"`
	CommitAuthor   string     `json:"commit_author"`
	FinishedAt     string     `json:"finished_at"`
}

type repository struct {
	ID            string `json:"id"`
	Owner         string `json:"owner"`
	Name          string `json:"name"`
	CloneURL      string `json:"clone_url"`
	WebURL        string `json:"web_url"`
	DefaultBranch string `json:"default_branch"`
}

// Parse says what a message means. Its errors are permanent (package fault): the same bytes fail again.
func Parse(event string, body []byte) (webhook.Event, error) {
	kind := map[string]string{"pipeline.failed": webhook.Failure, "pipeline.succeeded": webhook.Success}[event]
	if kind == "" {
		if err := payload.Valid(body); err != nil {
			return webhook.Event{}, err
		}
		if event == "ping" {
			return webhook.Ignore(webhook.IgnoredPing), nil
		}
		return webhook.Ignore(webhook.IgnoredUnknownEvent), nil
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	if m.Data == nil {
		return webhook.Event{}, payload.Missing("data")
	}
	m.Data.Branch = strings.TrimPrefix(m.Data.Branch, "refs/heads/")
	switch {
	case m.Data.Branch == "" || strings.HasPrefix(m.Data.Branch, "refs/"):
		return webhook.Ignore(webhook.IgnoredNoBranch), nil
	case strings.HasPrefix(m.Data.Branch, webhook.OwnBranchPrefix):
		return webhook.Ignore(webhook.IgnoredOwnBranch), nil
	case !payload.IsCommit(m.Data.Commit):
		return webhook.Ignore(IgnoredNoCommit), nil
	}
	failure, err := normalise(kind, m)
	if err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: failure}, nil
}

// normalise fills in what may be left out and holds each field to its bounds.
func normalise(kind string, m message) (ci.Failure, error) {
	d := m.Data
	id := d.Repository.ID
	if address, ok := payload.ParseGitAddress(d.Repository.CloneURL); ok && id == "" {
		id = address.ID()
	}
	var c payload.Checks
	f := ci.Failure{
		Provider: Provider,
		Repository: ci.Repository{
			Owner:         c.Owner("data.repository.owner", d.Repository.Owner),
			Name:          c.Part("data.repository.name", d.Repository.Name),
			CloneURL:      c.URL("data.repository.clone_url", d.Repository.CloneURL),
			WebURL:        c.OptionalURL("data.repository.web_url", d.Repository.WebURL),
			DefaultBranch: c.OptionalBranch("data.repository.default_branch", d.Repository.DefaultBranch),
		},
		Branch:       c.Branch("data.branch", d.Branch),
		BaseBranch:   c.OptionalBranch("data.base_branch", payload.FirstOf(d.BaseBranch, d.Repository.DefaultBranch)),
		Commit:       c.Commit("data.commit", d.Commit),
		Workflow:     c.Text("data.workflow", d.Workflow, 512),
		WorkflowName: c.Text("data.workflow_name", payload.FirstOf(d.WorkflowName, d.Workflow), 512),
		RunID:        c.Identity("data.run_id", d.RunID),
		RunAttempt:   c.Attempt("data.run_attempt", d.RunAttempt),
		RunURL:       c.OptionalURL("data.run_url", d.RunURL),
		Conclusion:   c.Text("data.conclusion", payload.FirstOf(d.Conclusion, kind), 64),
		Actor:        c.OptionalText("data.actor", d.Actor, 100),
		CommitAuthor: c.OptionalText("data.commit_author", d.CommitAuthor, 320),
	}
	f.Repository.ID = c.Identity("data.repository.id", id)
	f.HeadRepository = c.FullName("data.head_repository", payload.FirstOf(d.HeadRepository, f.Repository.FullName()))
	ended := c.OptionalTime("timestamp", m.Timestamp)
	if f.FinishedAt = c.OptionalTime("data.finished_at", d.FinishedAt); f.FinishedAt.IsZero() {
		f.FinishedAt = ended
	}
	if err := c.Err(); err != nil {
		return ci.Failure{}, err
	}
	return f, nil
}

// Repository returns the owner and name of the repository that a body speaks of, and empty strings for none.
func Repository(body payload.Object) (owner, name string) {
	value := payload.Member(body.Member("data"), "repository")
	owner, name = payload.MemberText(value, "owner"), payload.MemberText(value, "name")
	if owner == "" || !payload.IsRepositoryPart(name) {
		return "", ""
	}
	for part := range strings.SplitSeq(owner, "/") {
		if !payload.IsRepositoryPart(part) {
			return "", ""
		}
	}
	return owner, name
}
