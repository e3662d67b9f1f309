package github_test

import (
	"encoding/json"
	"flag"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestParseOfGitHubsExamplesIsAsTheGoldensSay(t *testing.T) {
	for example, event := range githubtest.Examples() {
		t.Run(example, func(t *testing.T) {
			got, err := github.Parse(event, githubtest.Example(example))
			if err != nil {
				t.Fatal(err)
			}
			check.Parsed(t, github.Provider, got, err)
			check.Golden(t, *update, filepath.Join("testdata", example+".golden.json"), got)
		})
	}
}

func TestFailedRunPutsEveryParameterWhereParseFindsIt(t *testing.T) {
	got, err := github.Parse("workflow_run", githubtest.FailedRun(githubtest.Params{
		RepositoryID: 42, Owner: "acme", Name: "shop", CloneURL: "http://127.0.0.1:3000/acme/shop.git", DefaultBranch: "trunk",
		Branch: "feature/x", SHA: strings.Repeat("ab", 20), Workflow: ".github/workflows/ci.yml", WorkflowName: "CI",
		RunID: 9007199254740993, SuiteID: 77, Attempt: 3, UpdatedAt: "2026-11-03T10:20:30Z", Actor: "mona", Conclusion: "timed_out", BaseBranch: "release",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := webhook.Event{Kind: webhook.Failure, Failure: ci.Failure{
		Provider: "github",
		Repository: ci.Repository{
			ID: "42", Owner: "acme", Name: "shop", CloneURL: "http://127.0.0.1:3000/acme/shop.git",
			WebURL: "http://127.0.0.1:3000/acme/shop", DefaultBranch: "trunk",
		},
		HeadRepository: "acme/shop", Branch: "feature/x", BaseBranch: "release", Commit: strings.Repeat("ab", 20),
		Workflow: ".github/workflows/ci.yml", WorkflowName: "CI", RunID: "9007199254740993", RunAttempt: 3,
		RunURL: "http://127.0.0.1:3000/acme/shop/actions/runs/9007199254740993", Conclusion: "timed_out", Actor: "mona", CommitAuthor: "octocat@github.com", FinishedAt: time.Date(2026, 11, 3, 10, 20, 30, 0, time.UTC),
		Claims: []string{"run:9007199254740993", "wname:CI"}, SameAs: []string{"run:9007199254740993", "jname:CI"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if got.Failure.FromFork() {
		t.Error("a run of the repository itself counts as one from a fork")
	}
}

func TestFailedRunOfAForkIsFromAFork(t *testing.T) {
	got, err := github.Parse("workflow_run", githubtest.FailedRun(githubtest.Params{HeadRepository: "stranger/octo-repo"}))
	if err != nil || got.Kind != webhook.Failure || got.Failure.HeadRepository != "stranger/octo-repo" || !got.Failure.FromFork() {
		t.Errorf("Parse = %+v, %v; want a failure from the fork stranger/octo-repo", got, err)
	}
}

func TestFailedRunNamesTheNewRepositoryEverywhere(t *testing.T) {
	body := string(githubtest.FailedRun(githubtest.Params{Owner: "acme", Name: "shop", CloneURL: "https://git.example/acme/shop.git"}))
	if i := strings.Index(body, "octo-org"); i >= 0 {
		t.Errorf("the example's own owner is left over: %.120s", body[i:])
	}
}

// edited returns the failure example with one field replaced (or removed, for nil) by its dotted path.
func edited(t *testing.T, path string, value any) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(githubtest.FailedRun(githubtest.Params{BaseBranch: "release"}), &root); err != nil {
		t.Fatal(err)
	}
	keys := strings.Split(path, ".")
	at := root
	for _, key := range keys[:len(keys)-1] {
		if list, ok := at[key].([]any); ok {
			at = list[0].(map[string]any)
			continue
		}
		at = at[key].(map[string]any)
	}
	last := keys[len(keys)-1]
	if _, ok := at[last]; !ok {
		t.Fatalf("the example has no field %s", path)
	}
	at[last] = value
	if value == nil {
		delete(at, last)
	}
	body, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestParseIgnoresWithAReason(t *testing.T) {
	null := json.RawMessage("null")
	for _, tt := range []struct {
		name, event string
		body        []byte
		reason      string
	}{
		{"a ping", "ping", []byte("{}"), "ping"},
		{"a push", "push", []byte("{}"), "event_not_used"},
		{"an event of tomorrow", "quantum_run", []byte("{}"), "unknown_event"},
		{"a run that was only requested", "workflow_run", edited(t, "action", "requested"), "not_completed"},
		{"an action of tomorrow", "workflow_run", edited(t, "action", "paused"), "not_completed"},
		{"a cancelled run", "workflow_run", edited(t, "workflow_run.conclusion", "cancelled"), "conclusion_cancelled"},
		{"a run without a conclusion", "workflow_run", edited(t, "workflow_run.conclusion", null), "not_completed"},
		{"a conclusion of tomorrow", "workflow_run", edited(t, "workflow_run.conclusion", "evil\nvalue"), "conclusion_unknown"},
		{"a broken workflow file", "workflow_run", edited(t, "workflow_run.conclusion", "startup_failure"), "startup_failure"},
		{"a run that completed and is queued without a conclusion", "workflow_run", githubtest.Example(githubtest.WorkflowRunQueued), "not_completed"},
		{"a run on a null head_branch", "workflow_run", edited(t, "workflow_run.head_branch", null), "no_branch"},
		{"a run on our own branch", "workflow_run", edited(t, "workflow_run.head_branch", "sre-agent/ci-abcdef"), "own_branch"},
		{"a run whose fork is gone", "workflow_run", edited(t, "workflow_run.head_repository", null), "no_head_repository"},
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

func TestARunThatCompletedWithStatusQueuedCountsByItsConclusion(t *testing.T) {
	for conclusion, want := range map[string]string{"failure": webhook.Failure, "success": webhook.Success} {
		body := check.Edited(t, edited(t, "workflow_run.status", "queued"), "workflow_run/conclusion", conclusion)
		if got, err := github.Parse("workflow_run", body); err != nil || got.Kind != want {
			t.Errorf("%s: Parse = %+v, %v; want a %s", conclusion, got, err, want)
		}
	}
}

func TestParseChoosesTheRightValue(t *testing.T) {
	for _, tt := range []struct {
		name string
		body []byte
		got  func(ci.Failure) string
		want string
	}{
		{"a ref after the workflow's path is cut off", edited(t, "workflow_run.path", ".github/workflows/ci.yml@refs/heads/main"), func(f ci.Failure) string { return f.Workflow }, ".github/workflows/ci.yml"},
		{"the workflow's own path stands in for the run's", edited(t, "workflow_run.path", nil), func(f ci.Failure) string { return f.Workflow }, ".github/workflows/test.yml"},
		{"the first pull request's base is the base branch", edited(t, "workflow_run.head_branch", "topic"), func(f ci.Failure) string { return f.BaseBranch }, "release"},
		{"a pull request into another repository does not count", edited(t, "workflow_run.pull_requests.base.repo", map[string]any{"id": 7}), func(f ci.Failure) string { return f.BaseBranch }, "master"},
		{"an empty pull_requests: the default branch", edited(t, "workflow_run.pull_requests", []any{}), func(f ci.Failure) string { return f.BaseBranch }, "master"},
		{"the person who ran it again is the actor", edited(t, "workflow_run.triggering_actor.login", "mona"), func(f ci.Failure) string { return f.Actor }, "mona"},
		{"the commit is in lower case", edited(t, "workflow_run.head_sha", strings.Repeat("AB", 20)), func(f ci.Failure) string { return f.Commit }, strings.Repeat("ab", 20)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			event, err := github.Parse("workflow_run", tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.got(event.Failure); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseRefusesFieldsByName(t *testing.T) {
	for _, tt := range []struct {
		name, field string
		value       any
	}{
		{"no action", "action", nil},
		{"no run", "workflow_run", nil},
		{"no repository id", "repository.id", nil},
		{"a negative id", "repository.id", -1},
		{"an id that is no number", "repository.id", "12"},
		{"an id beyond 64 bits", "workflow_run.id", json.RawMessage(strings.Repeat("9", 1000))},
		{"no run id", "workflow_run.id", nil},
		{"no repository name", "repository.name", nil},
		{"a repository name that climbs", "repository.name", ".."},
		{"an owner with a slash", "repository.owner.login", "a/b"},
		{"a branch with a line end", "workflow_run.head_branch", "a\nb"},
		{"a branch with a null byte", "workflow_run.head_branch", "a\x00b"},
		{"a branch that looks like an option", "workflow_run.head_branch", "--upload-pack=x"},
		{"a branch that climbs", "workflow_run.head_branch", "a/../b"},
		{"a branch of 256 bytes", "workflow_run.head_branch", strings.Repeat("b", 256)},
		{"a base branch with a blank", "workflow_run.pull_requests.base.ref", "a b"},
		{"no default branch", "repository.default_branch", nil},
		{"no commit", "workflow_run.head_sha", nil},
		{"a commit that is an option", "workflow_run.head_sha", "--help"},
		{"a clone URL that is a file", "repository.clone_url", "file:///etc/passwd"},
		{"a clone URL that runs a command", "repository.clone_url", "ext::sh -c id"},
		{"a clone URL with credentials", "repository.clone_url", "https://user:pass@github.com/a/b.git"},
		{"a run URL that is a script", "workflow_run.html_url", "javascript:alert(1)"},
		{"a head repository without owner", "workflow_run.head_repository.full_name", "name"},
		{"a workflow path without end", "workflow_run.path", strings.Repeat("p", 513)},
		{"a workflow name with an escape", "workflow_run.name", "CI\x1b[2J"},
		{"an end that is no time", "workflow_run.updated_at", "soon"},
		{"a file's name with a line end", "workflow.name", "CI\nCI"},
		{"an attempt below zero", "workflow_run.run_attempt", -3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := github.Parse("workflow_run", edited(t, tt.field, tt.value))
			if err == nil {
				t.Fatal("Parse accepts it")
			}
			reason, _ := fault.Reason(err)
			if reason != payload.ReasonInvalid || !strings.Contains(err.Error(), "field "+tt.field) || len(err.Error()) > 200 {
				t.Errorf("error %q (reason %q) does not name field %s", err, reason, tt.field)
			}
		})
	}
}
