package bitbucket

import (
	"encoding/json"
	"net/mail"
	"net/url"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// PipelinesWorkflow is the identity of Bitbucket's own Pipelines: a repository has one configuration of them, and
// whether the status' key is the same for another run of a commit is not documented.
const PipelinesWorkflow = "bitbucket-pipelines"

// site is where Bitbucket Cloud is. The payload's own addresses are not used: they may be those of its API.
const site = "https://bitbucket.org/"

// states names what becomes of the states that are neither a failure nor a success. With the reasons of package
// webhook they are the whole set.
// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/
var states = map[string]string{
	"INPROGRESS": webhook.IgnoredNotCompleted,
	"STOPPED":    "conclusion_stopped",
}

// event is the part of a commit status' event that sre-agent reads.
type event struct {
	Actor struct {
		Nickname string `json:"nickname"`
	} `json:"actor"`
	Repository repository `json:"repository"`
	Status     *status    `json:"commit_status"`
}

type repository struct {
	UUID     string `json:"uuid"`
	FullName string `json:"full_name"`
}

type status struct {
	Key       string `json:"key"`
	Name      string `json:"name"`
	State     string `json:"state"`
	URL       string `json:"url"`
	Refname   string `json:"refname"`
	UpdatedOn string `json:"updated_on"`
	Commit    struct {
		Hash   string `json:"hash"`
		Author struct {
			Raw string `json:"raw"`
		} `json:"author"`
	} `json:"commit"`
	Links struct {
		Commit struct {
			Href string `json:"href"`
		} `json:"commit"`
	} `json:"links"`
}

// Parse says what a delivery means. Its errors are permanent (package fault): the same bytes fail again.
func Parse(name string, body []byte) (webhook.Event, error) {
	switch name {
	case "repo:commit_status_created", "repo:commit_status_updated":
		return parseStatus(body)
	}
	if moves(name) {
		return parseMoved(name, body)
	}
	if err := payload.Valid(body); err != nil {
		return webhook.Event{}, err
	}
	if group, _, ok := strings.Cut(name, ":"); ok && (group == "repo" || group == "pullrequest" || group == "issue" || group == "project") {
		return webhook.Ignore(webhook.IgnoredEventNotUsed), nil
	}
	return webhook.Ignore(webhook.IgnoredUnknownEvent), nil
}

func parseStatus(body []byte) (webhook.Event, error) {
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	if e.Status == nil {
		return webhook.Event{}, payload.Missing("commit_status")
	}
	kind, reason := decide(*e.Status)
	if kind == webhook.Ignored {
		return webhook.Ignore(reason), nil
	}
	f, err := normalise(e)
	if err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: f}, nil
}

// decide says what kind of event a status is.
func decide(s status) (kind, reason string) {
	switch s.State {
	case "FAILED":
		kind = webhook.Failure
	case "SUCCESSFUL":
		kind = webhook.Success
	default:
		if reason, ok := states[s.State]; ok {
			return webhook.Ignored, reason
		}
		return webhook.Ignored, "conclusion_unknown"
	}
	switch {
	case s.Refname == "":
		return webhook.Ignored, webhook.IgnoredNoBranch
	case strings.HasPrefix(s.Refname, webhook.OwnBranchPrefix):
		return webhook.Ignored, webhook.IgnoredOwnBranch
	}
	return kind, ""
}

// normalise brings the facts into the one schema and holds each of them to its bounds.
func normalise(e event) (ci.Failure, error) {
	var c payload.Checks
	s := e.Status
	owner, name, _ := strings.Cut(e.Repository.FullName, "/")
	web := site + e.Repository.FullName
	run := e.run()
	f := ci.Failure{
		Provider: Provider,
		Repository: ci.Repository{
			ID:       c.Identity("repository.uuid", strings.Trim(e.Repository.UUID, "{}")),
			Owner:    c.Part("repository.full_name", owner),
			Name:     c.Part("repository.full_name", name),
			CloneURL: c.URL("repository.full_name", web+".git"),
			WebURL:   web,
		},
		HeadRepository: e.Repository.FullName,
		Branch:         c.Branch("commit_status.refname", s.Refname),
		Commit:         c.Commit("commit_status.commit.hash", s.hash()),
		Workflow:       c.Text("commit_status.key", run.workflow, 255),
		WorkflowName:   c.OptionalText("commit_status.name", run.name, 255),
		RunID:          c.Text("commit_status.key", run.id, 255),
		RunAttempt:     1,
		RunURL:         c.URL("commit_status.url", run.url),
		Conclusion:     s.State,
		Actor:          c.OptionalText("actor.nickname", e.Actor.Nickname, 255),
		FinishedAt:     c.OptionalTime("commit_status.updated_on", s.UpdatedOn),
		CommitAuthor:   c.OptionalText("commit_status.commit.author.raw", s.author(), 320),
	}
	if err := c.Err(); err != nil {
		return ci.Failure{}, err
	}
	return f, nil
}

// hash is the commit's. Events of the documented, older shape have it only at the end of the link to the commit.
func (s status) hash() string {
	if s.Commit.Hash != "" {
		return s.Commit.Hash
	}
	return s.Links.Commit.Href[strings.LastIndexByte(s.Links.Commit.Href, '/')+1:]
}

// author is the address in "Name <address>", and empty for what is not written so.
func (s status) author() string {
	a, err := mail.ParseAddress(s.Commit.Author.Raw)
	if err != nil {
		return ""
	}
	return a.Address
}

// pipelinesRun finds the number of a run in the addresses that Pipelines writes:
// https://bitbucket.org/acme/shop/addon/pipelines/home#!/results/12 and https://bitbucket.org/acme/shop/pipelines/results/12
var pipelinesRun = regexp.MustCompile(`/pipelines/(?:home#!/)?results/([0-9]{1,18})(?:[/?#]|$)`)

// run is where a status comes from.
type run struct{ workflow, name, id, url string }

// run reads the run's identity. Pipelines are known by their address; for any other CI system the status' key names
// the pipeline, and is all there is of the run.
func (e event) run() run {
	s := e.Status
	if m := pipelinesRun.FindStringSubmatch(s.URL); m != nil && strings.HasPrefix(s.URL, site) {
		return run{PipelinesWorkflow, "Bitbucket Pipelines", m[1], site + e.Repository.FullName + "/pipelines/results/" + m[1]}
	}
	return run{s.Key, payload.FirstOf(s.Name, s.Key), s.Key, bare(s.URL)}
}

// bare is an address without query and fragment, which many CI systems write.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	return u.String()
}

// Repository returns the workspace and the repository that a body speaks of.
func Repository(body payload.Object) (owner, name string) {
	owner, name, _ = strings.Cut(body.Text("repository", "full_name"), "/")
	if !payload.IsRepositoryPart(owner) || !payload.IsRepositoryPart(name) {
		return "", ""
	}
	return owner, name
}
