package demo_test

import (
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog/sources"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
)

func newScene(t *testing.T) *demo.Scene {
	t.Helper()
	s, err := demo.NewScene(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, v := range s.Forge.Violations() {
			t.Error("the forge did not like: " + v)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestTheSceneIsRedForTheReasonThatItsLogShows(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	res, err := s.CheckOnBranch(t.Context(), demo.Branch)
	if err != nil {
		t.Fatal(err)
	}
	if res.Green() || res.Output != "greet/greet.go\n" {
		t.Fatalf("exit code %d, output %q: want red because of greet/greet.go", res.ExitCode, res.Output)
	}
	// The log is read as the runner reads it: from the forge's API, with the token of the environment.
	env := s.Environ()
	cfg, err := config.Load(config.Runner, withParts(env))
	if err != nil {
		t.Fatal(err)
	}
	networks, err := config.ParseNetworks(cfg.APIAllowedNetworks)
	if err != nil {
		t.Fatal(err)
	}
	logs := sources.New(cfg, httpapi.Guarded(networks))
	f := ci.Failure{
		Provider: "github", Repository: ci.Repository{Owner: demo.Owner, Name: demo.Name}, RunID: strconv.Itoa(demo.RunID), RunAttempt: 1,
		RunURL: "/actions/runs/" + strconv.Itoa(demo.RunID),
	}
	jobs, err := logs.FailedJobs(t.Context(), f)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("failed jobs: %v, %v", jobs, err)
	}
	text, _, err := logs.Log(t.Context(), f, jobs[0], 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	report := failure.Explain(text)
	if report.Command != demo.CheckCommand {
		t.Errorf("the failing command is %q", report.Command)
	}
	if diff := cmp.Diff("greet/greet.go\n##[error]Process completed with exit code 1.", report.Text); diff != "" {
		t.Errorf("what failed (-want +got):\n%s", diff)
	}
	catalogue, err := fix.Load()
	if err != nil {
		t.Fatal(err)
	}
	matches := catalogue.Match(report, []string{"go.mod", "main.go", "greet/greet.go"})
	want := []fix.Match{{Fixer: "gofmt", Files: []string{"greet/greet.go"}}}
	if diff := cmp.Diff(want, matches); diff != "" {
		t.Errorf("fixers (-want +got):\n%s", diff)
	}
}

// withParts adds what the runner wants besides, and the log does not.
func withParts(env map[string]string) map[string]string {
	env["NATS_URL"], env["DATABASE_URL"], env["REDIS_URL"] = "nats://127.0.0.1:1", "postgres://127.0.0.1:1/x", "redis://127.0.0.1:1"
	return env
}

func TestWebhooksAreSignedAndSayWhatTheyAreMeantTo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	secret := [][]byte{[]byte(s.Environ()["GITHUB_WEBHOOK_SECRETS"])}
	failed := s.Webhook("http://127.0.0.1:1", "one")
	body, err := io.ReadAll(failed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := github.Verify(&webhook.Request{Header: failed.Header, Body: body}, webhook.Keys{Signing: secret}); err != nil {
		t.Error(err)
	}
	if err := github.Verify(&webhook.Request{Header: failed.Header, Body: body}, webhook.Keys{Signing: [][]byte{[]byte("another secret")}}); err == nil {
		t.Error("the webhook verifies with another secret too")
	}
	event, err := github.Parse("workflow_run", body)
	if err != nil {
		t.Fatal(err)
	}
	if event.Kind != webhook.Failure || event.Failure.Commit != s.Commit || event.Failure.Repository.FullName() != "acme/hello" ||
		event.Failure.Branch != demo.Branch || event.Failure.FromFork() {
		t.Errorf("event %+v", event)
	}
	again, err := io.ReadAll(s.Webhook("http://127.0.0.1:1", "two").Body)
	if err != nil || string(again) != string(body) {
		t.Errorf("the body of a redelivery differs: %v", err)
	}
	for _, req := range s.Unrelated("http://127.0.0.1:1") {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := github.Verify(&webhook.Request{Header: req.Header, Body: body}, webhook.Keys{Signing: secret}); err != nil {
			t.Error(err)
		}
		event, err := github.Parse(req.Header.Get("X-GitHub-Event"), body)
		if err != nil || event.Kind == webhook.Failure {
			t.Errorf("unrelated event %+v, %v", event, err)
		}
	}
}

func TestTheLogHasTheMarksOfGitHubActions(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	lines := strings.Split(strings.TrimSuffix(s.Log, "\n"), "\n")
	for _, line := range lines {
		at, _, _ := strings.Cut(line, " ")
		if _, err := time.Parse("2006-01-02T15:04:05.0000000Z", at); err != nil {
			t.Errorf("a line does not begin with its time: %q", line)
		}
	}
	if len(lines) != 6 || !strings.Contains(lines[0], "##[group]Run ") || !strings.HasSuffix(lines[5], "##[error]Process completed with exit code 1.") {
		t.Errorf("the log:\n%s", s.Log)
	}
}

func TestTheEnvironmentIsEnoughForAllServicesInOneProcess(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.All, newScene(t).Environ())
	if err != nil {
		t.Fatal(err)
	}
	if w := cfg.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
}

func TestASceneThatCannotBeSetSaysWhy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := demo.NewScene(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "git") {
		t.Errorf("got %v, want an error that names git", err)
	}
}
