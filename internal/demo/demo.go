// Package demo makes the scene of the demo and of the end-to-end tests: a local forge with a small Go repository
// whose gofmt check is really red, the true log of that check, and the webhooks that GitHub would send about it.
//
// It promises that nothing is played: the repository is pushed by git, the log is what the check printed, the
// webhooks are GitHub's own examples with this repository's facts and a valid signature, and whether a branch is
// green is found out by running the check on a clone of it. The services never import this package.
package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// The facts of the failed workflow run.
const (
	Owner        = "acme"
	Name         = "hello"
	Branch       = "main"
	Workflow     = ".github/workflows/ci.yml"
	WorkflowName = "CI"
	JobName      = "lint"
	RunID        = 7_306_151_412
	actor        = "dev"
)

// Scene is a local forge with one repository whose CI is red.
type Scene struct {
	// Forge is the local forge; Repo is the repository on it.
	Forge *forgetest.Server
	Repo  forgetest.Repo
	// Commit is the red commit, at the head of Branch.
	Commit string
	// Log is the failed job's log as the forge hands it out.
	Log string

	dir           string
	git           gitProgram
	webhookSecret string
	readToken     string
	writeToken    string
	more          int // commits after the first
}

// NewScene starts the forge below dir, pushes the repository and runs its check. Close ends it; dir is the caller's.
func NewScene(ctx context.Context, dir string) (*Scene, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("set the scene: %w", err)
	}
	s := &Scene{dir: dir, webhookSecret: random(), readToken: "read-" + random(), writeToken: "write-" + random()}
	if err := s.set(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("set the scene: %w", err), s.Close())
	}
	return s, nil
}

func (s *Scene) set(ctx context.Context) (err error) {
	if s.git, err = findGit(filepath.Join(s.dir, "home")); err != nil {
		return err
	}
	s.Forge, err = forgetest.Start(forgetest.Options{
		Dir: filepath.Join(s.dir, "forge"), ReadTokens: []string{s.readToken}, WriteTokens: []string{s.writeToken},
	})
	if err != nil {
		return err
	}
	if s.Repo, err = s.Forge.CreateRepo(Owner, Name, Branch); err != nil {
		return err
	}
	if s.Commit, err = s.push(ctx); err != nil {
		return err
	}
	res, err := s.check(ctx, Branch)
	if err != nil {
		return err
	}
	if res.ExitCode == 0 {
		return errors.New("the check of the new repository is green; it is meant to be red")
	}
	s.Log = actionsLog(res)
	if err := s.Forge.Allow(Owner, Name, Person, "write"); err != nil {
		return err
	}
	return s.addJob(RunID, s.Log)
}

// addJob has a workflow run whose check has failed.
func (s *Scene) addJob(runID int64, log string) error {
	_, err := s.Forge.AddJob(Owner, Name, runID, 1, forgetest.Job{
		Name: JobName, Conclusion: "failure",
		Steps: []forgetest.Step{
			{Name: "Set up job", Conclusion: "success"},
			{Name: "Run actions/checkout@v4", Conclusion: "success"},
			{Name: "gofmt", Conclusion: "failure"},
		},
	}, log)
	return err
}

// Close ends the forge.
func (s *Scene) Close() error {
	if s.Forge == nil {
		return nil
	}
	return s.Forge.Close()
}

// Environ is what the services need to know about the scene, as environment variables.
func (s *Scene) Environ() map[string]string {
	return map[string]string{
		"GITHUB_API_URL":         s.Forge.APIURL(),
		"GITHUB_GIT_URL":         s.Forge.URL(),
		"GITHUB_READ_TOKEN":      s.readToken,
		"GITHUB_WRITE_TOKEN":     s.writeToken,
		"GITHUB_WEBHOOK_SECRETS": s.webhookSecret,
		"API_ALLOWED_NETWORKS":   "127.0.0.0/8,::1", // the scene's forge is on this machine
		// Nobody has to look at what is opened here, and every trouble is made the same way.
		"REPO_OPEN_PULL_REQUESTS": "100000", "REPO_PULL_REQUESTS_PER_HOUR": "100000", "FORGE_WRITES_PER_MINUTE": "100000",
		"FORGE_WRITES_PER_HOUR": "100000", "INCIDENT_WINDOW_SECONDS": "0",
	}
}

// Webhook is the signed webhook about the failed run, for the ingest service at the address base, such as
// http://127.0.0.1:8080. Its body is the same each time, as that of a redelivery is.
func (s *Scene) Webhook(base, deliveryID string) *http.Request {
	return s.request(base, "workflow_run", deliveryID, githubtest.FailedRun(s.params()))
}

// Unrelated are two signed events that ask for nothing: a push, and a workflow run that went well.
func (s *Scene) Unrelated(base string) []*http.Request {
	docs := s.params()
	docs.Workflow, docs.WorkflowName, docs.RunID, docs.Conclusion = ".github/workflows/docs.yml", "Docs", RunID+1, "success"
	return []*http.Request{
		s.request(base, "push", "demo-push-"+random()[:8], githubtest.Example(githubtest.Push)),
		s.request(base, "workflow_run", "demo-success-"+random()[:8], githubtest.FailedRun(docs)),
	}
}

func (s *Scene) request(base, event, deliveryID string, body []byte) *http.Request {
	return githubtest.Request(base+"/webhooks/github", s.webhookSecret, event, deliveryID, body)
}

func (s *Scene) params() githubtest.Params {
	return githubtest.Params{
		RepositoryID: s.Repo.ID, Owner: Owner, Name: Name, CloneURL: s.Repo.CloneURL, WebURL: s.Repo.WebURL, DefaultBranch: Branch,
		Branch: Branch, SHA: s.Commit, Workflow: Workflow, WorkflowName: WorkflowName, RunID: RunID, Attempt: 1, Actor: actor,
	}
}

// PullRequests lists the repository's pull requests in every state.
func (s *Scene) PullRequests() []forgetest.PR { return s.Forge.PullRequests(Owner, Name) }

// CheckOnBranch clones a branch and runs the check on it.
func (s *Scene) CheckOnBranch(ctx context.Context, branch string) (CheckResult, error) {
	return s.check(ctx, branch)
}

// random is a fresh secret or name.
func random() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func makeDir(dir string) error { return os.MkdirAll(dir, 0o700) }
