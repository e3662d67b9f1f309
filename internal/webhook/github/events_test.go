package github_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

// pipeline is one run of a workflow in a private repository that forbids forks.
func pipeline() githubtest.Params {
	return githubtest.Params{
		RepositoryID: 42, Owner: "acme", Name: "shop", CloneURL: "https://github.com/acme/shop.git", DefaultBranch: "trunk", NoForks: true,
		Branch: "feature/x", SHA: strings.Repeat("ab", 20), Workflow: ".github/workflows/ci.yml", WorkflowName: "CI",
		RunID: 123, SuiteID: 456, Attempt: 2, Actor: "mona", JobID: 789, UpdatedAt: "2026-11-03T10:20:30Z",
	}
}

func with(change func(p *githubtest.Params)) githubtest.Params {
	p := pipeline()
	change(&p)
	return p
}

// wanted is what the events of pipeline have in common.
func wanted(change func(f *ci.Failure)) ci.Failure {
	f := ci.Failure{
		Provider: "github",
		Repository: ci.Repository{
			ID: "42", Owner: "acme", Name: "shop", CloneURL: "https://github.com/acme/shop.git", WebURL: "https://github.com/acme/shop", DefaultBranch: "trunk",
		},
		HeadRepository: "acme/shop", Branch: "feature/x", BaseBranch: "trunk", Commit: strings.Repeat("ab", 20),
		RunAttempt: 1, Conclusion: "failure", Actor: "mona", FinishedAt: time.Date(2026, 11, 3, 10, 20, 30, 0, time.UTC),
	}
	change(&f)
	return f
}

func TestParseOfJobsChecksAndStatuses(t *testing.T) {
	another := func(p *githubtest.Params) { p.App = "octocoders-linter" }
	for _, tt := range []struct {
		name, event string
		body        []byte
		kind        string
		want        ci.Failure
	}{
		{"a failed job", "workflow_job", githubtest.Job(pipeline()), webhook.Failure, wanted(func(f *ci.Failure) {
			f.Workflow, f.WorkflowName, f.RunID, f.RunAttempt = "CI", "CI", "123", 2
			f.RunURL = "https://github.com/acme/shop/actions/runs/123/job/789"
			f.Claims, f.SameAs = []string{"run:123", "jname:CI"}, []string{"run:123", "wname:CI"}
		})},
		{"a failed job whose workflow has no name", "workflow_job", check.Edited(t, githubtest.Job(pipeline()), "workflow_job/workflow_name", nil), webhook.Failure, wanted(func(f *ci.Failure) {
			f.Workflow, f.WorkflowName, f.RunID, f.RunAttempt = "actions-run:123", "actions-run:123", "123", 2
			f.RunURL = "https://github.com/acme/shop/actions/runs/123/job/789"
			f.Claims, f.SameAs = []string{"run:123"}, []string{"run:123"}
		})},
		{"a failed check of GitHub Actions", "check_run", githubtest.Check(pipeline()), webhook.Failure, wanted(func(f *ci.Failure) {
			f.Workflow, f.WorkflowName, f.RunID = "actions-run:123", "octocoders-linter", "123"
			f.RunURL = "https://github.com/acme/shop/actions/runs/123/job/789"
			f.Claims, f.SameAs = []string{"run:123"}, []string{"run:123"}
		})},
		{"a failed check of another app", "check_run", githubtest.Check(with(another)), webhook.Failure, wanted(func(f *ci.Failure) {
			f.Workflow, f.WorkflowName, f.RunID, f.RunURL = "app:octocoders-linter", "octocoders-linter", "789", "https://octocoders.io"
		})},
		{"a failed suite of another app", "check_suite", githubtest.Suite(pipeline()), webhook.Failure, wanted(func(f *ci.Failure) {
			f.Workflow, f.WorkflowName, f.RunID = "app:octocoders-linter", "octocoders-linter", "456"
			f.RunURL = "https://github.com/acme/shop/commit/" + f.Commit + "/checks"
			f.CommitAuthor = "21031067+Codertocat@users.noreply.github.com"
		})},
		{"a suite of another app that passed", "check_suite", githubtest.Suite(with(func(p *githubtest.Params) { p.Conclusion = "success" })), webhook.Success, wanted(func(f *ci.Failure) {
			f.Workflow, f.WorkflowName, f.RunID, f.Conclusion = "app:octocoders-linter", "octocoders-linter", "456", "success"
			f.RunURL = "https://github.com/acme/shop/commit/" + f.Commit + "/checks"
			f.CommitAuthor = "21031067+Codertocat@users.noreply.github.com"
		})},
		{"a failed status, without the query of its address", "status", githubtest.Status(pipeline()), webhook.Failure, wanted(func(f *ci.Failure) {
			f.Workflow, f.WorkflowName, f.RunID, f.RunURL = "ci/octocoders", "ci/octocoders", "6805126730", "https://octocoders.io/builds/17"
			f.CommitAuthor = "21031067+Codertocat@users.noreply.github.com"
		})},
		{"a status of error is a failure", "status", githubtest.Status(with(func(p *githubtest.Params) { p.Conclusion, p.Context = "error", "ci/other" })), webhook.Failure, wanted(func(f *ci.Failure) {
			f.Workflow, f.WorkflowName, f.RunID, f.RunURL, f.Conclusion = "ci/other", "ci/other", "6805126730", "https://octocoders.io/builds/17", "error"
			f.CommitAuthor = "21031067+Codertocat@users.noreply.github.com"
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := github.Parse(tt.event, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			check.Parsed(t, github.Provider, got, err)
			if diff := cmp.Diff(webhook.Event{Kind: tt.kind, Failure: tt.want}, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJobsChecksAndStatusesAreIgnoredWithAReason(t *testing.T) {
	job := func(change func(p *githubtest.Params)) []byte { return githubtest.Job(with(change)) }
	actionsCheck := func(change func(p *githubtest.Params)) []byte { return githubtest.Check(with(change)) }
	suite := func(change func(p *githubtest.Params)) []byte { return githubtest.Suite(with(change)) }
	status := func(change func(p *githubtest.Params)) []byte { return githubtest.Status(with(change)) }
	passed := func(p *githubtest.Params) { p.Conclusion = "success" }
	own := func(p *githubtest.Params) { p.Branch = "sre-agent/ci-abcdef" }
	public := func(p *githubtest.Params) { p.NoForks = false }
	set := func(body []byte, path string, value any) []byte { return check.Edited(t, body, path, value) }
	null := map[string]any(nil)
	for _, tt := range []struct {
		name, event string
		body        []byte
		reason      string
	}{
		{"a job that is queued", "workflow_job", set(githubtest.Job(pipeline()), "action", "queued"), "not_completed"},
		{"a job that passed", "workflow_job", job(passed), "job_success"},
		{"a job that was skipped", "workflow_job", job(func(p *githubtest.Params) { p.Conclusion = "skipped" }), "conclusion_skipped"},
		{"a job on our own branch", "workflow_job", job(own), "own_branch"},
		{"a job on no branch", "workflow_job", set(githubtest.Job(pipeline()), "workflow_job/head_branch", null), "no_branch"},
		{"a job where forks are allowed: nothing tells a fork's", "workflow_job", job(public), "origin_unknown"},
		{"a job of a repository that had a fork", "workflow_job", set(githubtest.Job(pipeline()), "repository/forks_count", 1), "origin_unknown"},
		{"a job of a repository that is a fork", "workflow_job", set(githubtest.Job(pipeline()), "repository/fork", true), "origin_unknown"},
		{"a job of a repository that may have forks", "workflow_job", set(githubtest.Job(pipeline()), "repository/allow_forking", true), "origin_unknown"},
		{"a job of a server that does not count forks", "workflow_job", set(githubtest.Job(pipeline()), "repository/forks_count", nil), "origin_unknown"},

		{"a check that was created", "check_run", set(githubtest.Check(pipeline()), "action", "created"), "not_completed"},
		{"a check that is to run again", "check_run", set(githubtest.Check(pipeline()), "action", "rerequested"), "not_completed"},
		{"a check that passed", "check_run", actionsCheck(passed), "job_success"},
		{"a check that wants something done", "check_run", actionsCheck(func(p *githubtest.Params) { p.Conclusion = "action_required" }), "conclusion_action_required"},
		{"a check on our own branch", "check_run", actionsCheck(own), "own_branch"},
		{"a check of another app on a fork: a null head_branch", "check_run", set(actionsCheck(func(p *githubtest.Params) { p.App = "a" }), "check_run/check_suite/head_branch", null), "no_branch"},
		{"a check without an app", "check_run", set(githubtest.Check(pipeline()), "check_run/app", null), "app_unknown"},
		{"a check that a workflow made itself", "check_run", actionsCheck(func(p *githubtest.Params) { p.RunID = 0 }), "run_unknown"},
		{"a check that points at another repository's run", "check_run", set(githubtest.Check(pipeline()), "check_run/details_url", "https://github.com/acme/other/actions/runs/1/job/2"), "run_unknown"},
		{"a check whose run has no number", "check_run", set(githubtest.Check(pipeline()), "check_run/details_url", "https://github.com/acme/shop/actions/runs/1x/job/2"), "run_unknown"},
		{"a check where forks are allowed, without pull request", "check_run", actionsCheck(public), "origin_unknown"},

		{"a suite that was requested", "check_suite", set(githubtest.Suite(pipeline()), "action", "requested"), "not_completed"},
		{"a suite of GitHub Actions", "check_suite", suite(func(p *githubtest.Params) { p.App = "github-actions" }), "actions_suite"},
		{"a suite on our own branch", "check_suite", suite(own), "own_branch"},
		{"a suite on a fork: a null head_branch", "check_suite", set(githubtest.Suite(pipeline()), "check_suite/head_branch", null), "no_branch"},
		{"a suite without an app", "check_suite", set(githubtest.Suite(pipeline()), "check_suite/app", null), "app_unknown"},
		{"a suite that is stale", "check_suite", suite(func(p *githubtest.Params) { p.Conclusion = "stale" }), "conclusion_stale"},

		{"a status that is pending", "status", status(func(p *githubtest.Params) { p.Conclusion = "pending" }), "not_completed"},
		{"a state of tomorrow", "status", status(func(p *githubtest.Params) { p.Conclusion = "evil\nvalue" }), "conclusion_unknown"},
		{"a status on our own branch", "status", status(own), "own_branch"},
		{"a status of a commit on no branch, as a fork's", "status", set(githubtest.Status(pipeline()), "branches", []any{}), "no_branch"},
		{"a status of a commit that no branch is at", "status", set(githubtest.Status(pipeline()), "sha", strings.Repeat("cd", 20)), "no_branch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := github.Parse(tt.event, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(webhook.Event{Kind: webhook.Ignored, Reason: tt.reason}, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestACheckIsTheRepositorysOwnWhenItIsTheHeadOfItsPullRequest(t *testing.T) {
	params := with(func(p *githubtest.Params) { p.NoForks, p.BaseBranch = false, "release" })
	got, err := github.Parse("check_run", githubtest.Check(params))
	if err != nil || got.Kind != webhook.Failure || got.Failure.BaseBranch != "release" || got.Failure.FromFork() {
		t.Errorf("Parse = %+v, %v; want a failure with the base branch release", got, err)
	}
	pr := func(headRepo int, sha string) []any {
		head := map[string]any{"ref": "feature/x", "sha": sha, "repo": map[string]any{"id": headRepo}}
		return []any{map[string]any{"head": head, "base": map[string]any{"ref": "release", "repo": map[string]any{"id": 42}}}}
	}
	for name, list := range map[string][]any{"a fork's pull request": pr(7, params.SHA), "a pull request with another head": pr(42, strings.Repeat("cd", 20))} {
		got, err := github.Parse("check_run", check.Edited(t, githubtest.Check(params), "check_run/pull_requests", list))
		if err != nil || got.Reason != github.IgnoredOriginUnknown {
			t.Errorf("%s: Parse = %+v, %v; want it ignored", name, got, err)
		}
	}
}

func TestAStatusChoosesABranchThatIsAtTheCommit(t *testing.T) {
	sha := pipeline().SHA
	branch := func(name, sha string) any {
		return map[string]any{"name": name, "commit": map[string]any{"sha": sha}}
	}
	for _, tt := range []struct {
		name     string
		branches []any
		want     string
	}{
		{"one that has moved on does not count", []any{branch("old", strings.Repeat("0", 40)), branch("new", sha)}, "new"},
		{"another than ours", []any{branch("sre-agent/x", sha), branch("topic", sha)}, "topic"},
		{"another than ours, whatever the order", []any{branch("topic", sha), branch("sre-agent/x", sha)}, "topic"},
		{"the default branch before others", []any{branch("topic", sha), branch("trunk", sha)}, "trunk"},
		{"the first of equals", []any{branch("a", sha), branch("b", sha)}, "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := github.Parse("status", check.Edited(t, githubtest.Status(pipeline()), "branches", tt.branches))
			if err != nil || got.Kind != webhook.Failure || got.Failure.Branch != tt.want {
				t.Errorf("Parse = %+v, %v; want the branch %s", got, err, tt.want)
			}
		})
	}
}

func TestAnAddressThatIsNoneIsLeftOut(t *testing.T) {
	for _, url := range []string{"javascript:alert(1)", "https://user:pass@ci.example.com/1", "ci/17", "https://ci.example.com/" + strings.Repeat("ü", 2000), "https://h/\n"} {
		got, err := github.Parse("status", check.Edited(t, githubtest.Status(pipeline()), "target_url", url))
		if err != nil || got.Kind != webhook.Failure || got.Failure.RunURL != "" {
			t.Errorf("%.40q: Parse = %+v, %v; want a failure without it", url, got, err)
		}
	}
}

func TestJobsChecksAndStatusesAreRefusedByField(t *testing.T) {
	bodies := map[string][]byte{
		"workflow_job": githubtest.Job(pipeline()), "check_run": githubtest.Check(pipeline()),
		"check_suite": githubtest.Suite(pipeline()), "status": githubtest.Status(pipeline()),
	}
	for _, tt := range []struct {
		name, event, path string
		value             any
	}{
		{"a job without action", "workflow_job", "action", nil},
		{"no job", "workflow_job", "workflow_job", nil},
		{"a job without run", "workflow_job", "workflow_job/run_id", nil},
		{"a workflow name with a line end", "workflow_job", "workflow_job/workflow_name", "a\nb"},
		{"a branch that is an option", "workflow_job", "workflow_job/head_branch", "--x"},
		{"a commit that is cut short", "workflow_job", "workflow_job/head_sha", "abcdef"},
		{"a job's address that is a script", "workflow_job", "workflow_job/html_url", "javascript:x"},
		{"a job's end that is no time", "workflow_job", "workflow_job/completed_at", "soon"},
		{"a job of an actor without end", "workflow_job", "sender/login", strings.Repeat("a", 101)},
		{"no check", "check_run", "check_run", nil},
		{"a check's number below zero", "check_run", "check_run/id", -1},
		{"a check's commit", "check_run", "check_run/head_sha", "HEAD"},
		{"an app that is a path", "check_suite", "check_suite/app/slug", "a b"},
		{"no suite", "check_suite", "check_suite", nil},
		{"a suite's number", "check_suite", "check_suite/id", nil},
		{"a suite's branch", "check_suite", "check_suite/head_branch", "a..b"},
		{"no state", "status", "state", nil},
		{"no context", "status", "context", nil},
		{"a context with an escape", "status", "context", "\x1b[2J"},
		{"a status without repository", "status", "repository/id", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := check.Edited(t, bodies[tt.event], tt.path, tt.value)
			check.RefusesField(t, github.Webhooks(), tt.event, body, strings.ReplaceAll(tt.path, "/", "."))
		})
	}
}

func TestHostileBodiesEndInAReason(t *testing.T) {
	check.RefusesHostile(t, github.Webhooks(), "workflow_run", "workflow_job", "check_run", "check_suite", "status", "ping", "push", "issue_comment", "pull_request")
}

func TestTheGuidesExampleIsWhatParseMakesOfIt(t *testing.T) {
	check.Guide(t, *update, "../../../docs/providers/github.md", github.Webhooks(), "workflow_run")
}
