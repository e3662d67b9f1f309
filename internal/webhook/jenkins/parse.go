package jenkins

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// The reasons for ignoring a delivery that only Jenkins has, or only some providers.
const (
	IgnoredCompletedPhase = "completed_phase" // FINALIZED follows: each build has two phases that are final
	IgnoredUnstable       = "unstable"        // the build worked, and tests or thresholds are not as they should be
	IgnoredPullRequest    = "pull_request"    // a build of a pull request, whose branch and repository are not told
	IgnoredNoRepository   = "no_repository"   // nothing says where the code is: the plugin knows it of few pipeline jobs
	IgnoredNoCommit       = "no_commit"       // there is no full commit id
)

// statusReasons names the results that are neither a failure nor a success.
// https://javadoc.jenkins.io/hudson/model/Result.html
var statusReasons = map[string]string{
	"":          "conclusion_none",
	"UNSTABLE":  IgnoredUnstable,
	"ABORTED":   "conclusion_aborted",
	"NOT_BUILT": "conclusion_not_built",
}

// notification is the part of a body that sre-agent reads: the model of the plugin, version 1.18.
// https://github.com/jenkinsci/notification-plugin/tree/master/src/main/java/com/tikal/hudson/plugins/notification/model
type notification struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	URL         string `json:"url"`
	Build       *build `json:"build"`
}

type build struct {
	FullURL   string `json:"full_url"`
	Number    int64  `json:"number"`
	Phase     string `json:"phase"`
	Status    string `json:"status"`
	Timestamp int64  `json:"timestamp"`
	SCM       scm    `json:"scm"`
}

type scm struct {
	URL    string `json:"url"`
	Branch string `json:"branch"`
	Commit string `json:"commit"`
}

// Parse says what a delivery means. Its errors are permanent (package fault): the same bytes fail again. The phase is
// the body's own, so the event's name does not matter.
func Parse(_ string, body []byte) (webhook.Event, error) {
	var n notification
	if err := json.Unmarshal(body, &n); err != nil {
		return webhook.Event{}, payload.Malformed(err)
	}
	if n.Build == nil {
		return webhook.Event{}, payload.Missing("build")
	}
	kind, reason := decide(*n.Build)
	if kind == webhook.Ignored {
		return webhook.Ignore(reason), nil
	}
	address, branch, reason := where(*n.Build)
	if reason != "" {
		return webhook.Ignore(reason), nil
	}
	failure, err := normalise(n, address, branch)
	if err != nil {
		return webhook.Event{}, err
	}
	return webhook.Event{Kind: kind, Failure: failure}, nil
}

func decide(b build) (kind, reason string) {
	switch b.Phase {
	case "FINALIZED":
	case "COMPLETED":
		return webhook.Ignored, IgnoredCompletedPhase
	case "QUEUED", "STARTED", "NONE":
		return webhook.Ignored, webhook.IgnoredNotCompleted
	default:
		return webhook.Ignored, webhook.IgnoredUnknownEvent
	}
	switch b.Status {
	case "FAILURE":
		return webhook.Failure, ""
	case "SUCCESS":
		return webhook.Success, ""
	}
	if reason, ok := statusReasons[b.Status]; ok {
		return webhook.Ignored, reason
	}
	return webhook.Ignored, "conclusion_unknown"
}

// pullRequest is what the branch sources of GitHub, Bitbucket and GitLab call the builds of pull requests.
var pullRequest = regexp.MustCompile(`^(PR|MR)-[0-9]+(-(head|merge))?$`)

// where finds the code, or the reason why nobody can. The branch has the remote's name before it in freestyle jobs.
func where(b build) (address payload.GitAddress, branch, reason string) {
	branch = strings.TrimPrefix(b.SCM.Branch, "refs/")
	branch = strings.TrimPrefix(strings.TrimPrefix(branch, "remotes/"), "heads/")
	branch = strings.TrimPrefix(branch, "origin/")
	address, ok := payload.ParseGitAddress(b.SCM.URL)
	switch {
	case !ok:
		return address, "", IgnoredNoRepository
	case branch == "" || branch == "detached" || strings.HasPrefix(branch, "tags/"):
		return address, "", webhook.IgnoredNoBranch
	case strings.HasPrefix(branch, webhook.OwnBranchPrefix):
		return address, "", webhook.IgnoredOwnBranch
	case pullRequest.MatchString(branch) || strings.HasPrefix(branch, "pull/"):
		return address, "", IgnoredPullRequest
	case !payload.IsCommit(b.SCM.Commit):
		return address, "", IgnoredNoCommit
	}
	return address, branch, ""
}

// normalise brings the facts into the one schema and holds each of them to its bounds. The repository's id is its
// address, since Jenkins has none; the job's path stays when a job runs again, and its number does not.
func normalise(n notification, address payload.GitAddress, branch string) (ci.Failure, error) {
	b := n.Build
	var c payload.Checks
	f := ci.Failure{
		Provider: Provider,
		Repository: ci.Repository{
			ID: address.ID(), Owner: address.Owner, Name: address.Name,
			CloneURL: c.URL("build.scm.url", address.CloneURL()), WebURL: address.WebURL(),
		},
		HeadRepository: address.FullName(),
		Branch:         c.Branch("build.scm.branch", branch),
		Commit:         c.Commit("build.scm.commit", b.SCM.Commit),
		Workflow:       c.Text("url", strings.Trim(n.URL, "/"), 512),
		WorkflowName:   c.Text("display_name", payload.FirstOf(n.DisplayName, n.Name), 255),
		RunID:          c.ID("build.number", b.Number),
		RunAttempt:     1,
		RunURL:         c.URL("build.full_url", b.FullURL),
		Conclusion:     b.Status,
		FinishedAt:     milliseconds(&c, "build.timestamp", b.Timestamp),
	}
	if err := c.Err(); err != nil {
		return ci.Failure{}, err
	}
	return f, nil
}

func milliseconds(c *payload.Checks, field string, n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	at := time.UnixMilli(n).UTC()
	if n < 0 || at.Year() < 2000 || at.Year() > 2200 {
		c.Fail(field, "milliseconds since 1970")
		return time.Time{}
	}
	return at
}

// Repository returns the owner and name of the repository that a body speaks of, and empty strings for none.
func Repository(body payload.Object) (owner, name string) {
	value := body.Member("build")
	address, ok := payload.ParseGitAddress(payload.MemberText(value, "scm", "url"))
	if !ok {
		return "", ""
	}
	return address.Owner, address.Name
}
