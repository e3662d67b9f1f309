package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/services/runner"
)

// What became of a row.
const (
	outcomeGreen    = "green"
	outcomeDeclined = "declined"
	outcomeFalseFix = "false_fix"
	outcomeError    = "error"
)

// pairBench is a forge of this machine and the runner's own pipeline, for one row after the other.
type pairBench struct {
	dir      string
	clones   clones
	forge    *forgetest.Server
	env      *program.Env
	pipeline *runner.FixPipeline
	repos    map[string]forgetest.Repo
}

const pairToken = "read-only"

func (a *app) newPairBench(ctx context.Context, o pairsOptions) (b *pairBench, err error) {
	b = &pairBench{repos: map[string]forgetest.Repo{}}
	if b.dir, err = os.MkdirTemp("", "sre-agent-pairs-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := os.Chmod(b.dir, 0o711); err != nil { // the sandbox is another user
		return nil, err
	}
	if b.clones, err = findClones(o.repos, filepath.Join(b.dir, "staging")); err != nil {
		return nil, err
	}
	if b.forge, err = forgetest.Start(forgetest.Options{Dir: filepath.Join(b.dir, "forge"), ReadTokens: []string{pairToken}}); err != nil {
		return nil, err
	}
	env := maps.Clone(a.environ)
	maps.Copy(env, map[string]string{
		"GITHUB_API_URL": b.forge.APIURL(), "GITHUB_GIT_URL": b.forge.URL(), "GITHUB_READ_TOKEN": pairToken, "DATA_DIR": filepath.Join(b.dir, "data"),
		"API_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
		// Nothing connects to these: the pipeline alone is used.
		"DATABASE_URL": "postgres://localhost/unused", "REDIS_URL": "redis://localhost/0", "NATS_URL": "nats://localhost:4222",
	})
	cfg, err := config.Load(config.Runner, env)
	if err != nil {
		return nil, err
	}
	logs := io.Discard
	if o.verbose {
		logs = a.stderr
	}
	if b.env, err = program.NewEnv(ctx, cfg, logs); err != nil {
		return nil, err
	}
	if b.pipeline, err = runner.NewPipeline(ctx, b.env); err != nil {
		return nil, err
	}
	b.pipeline.Troubles = noTroubles{}
	return b, nil
}

func (b *pairBench) close() {
	if b.env != nil {
		b.env.Close()
	}
	if b.forge != nil {
		_ = b.forge.Close()
	}
	_ = os.RemoveAll(b.dir)
}

// noTroubles is a record without any other run.
type noTroubles struct{}

func (noTroubles) Refused(context.Context, string) (string, error)         { return "", nil }
func (noTroubles) Holder(context.Context, string) (*db.Publication, error) { return nil, nil } //nolint:nilnil // nobody holds it

// try runs the pipeline on one row.
func (b *pairBench) try(ctx context.Context, n int, row fixPair) pairOutcome {
	began := time.Now()
	out := pairOutcome{Class: row.class, Repo: row.repo, Parent: row.parent, Outcome: outcomeError}
	err := b.play(ctx, n, row, &out)
	if err != nil {
		out.Detail = clip(visible(err.Error()), shownWidth)
	}
	out.Seconds = float64(time.Since(began).Milliseconds()) / 1000
	return out
}

func (b *pairBench) play(ctx context.Context, n int, row fixPair, out *pairOutcome) error {
	clone, err := b.clones.open(ctx, row.repo)
	if err != nil {
		return err
	}
	parent, err := clone.commit(ctx, row.parent)
	if err != nil {
		return err
	}
	f, err := b.fail(ctx, n, row, clone, parent)
	if err != nil {
		return err
	}
	res := b.pipeline.Execute(ctx, store.Run{Run: db.Run{ID: int64(n), RunKey: f.RunKey(), Fence: 1, AttemptCount: 1}, Failure: f})
	out.Reason, out.Detail, out.Fixer = res.Reason, clip(visible(res.Explanation), shownWidth), res.Fix.Fixer
	switch {
	case res.Err != nil:
		return res.Err
	case res.State != run.Fixed:
		out.Outcome = outcomeDeclined
		return nil
	case !row.strict:
		out.Outcome = outcomeFalseFix
		return nil
	}
	out.Outcome = outcomeGreen
	out.Equal, err = clone.sameTree(ctx, parent, res.Fix.Diff, row.fix)
	return err
}

// fail puts the parent commit onto the forge, runs the check on it as its CI would, and returns the failure that the
// webhook would tell of.
func (b *pairBench) fail(ctx context.Context, n int, row fixPair, clone clone, parent string) (ci.Failure, error) {
	owner, name, _ := strings.Cut(row.repo, "/")
	branch := fmt.Sprintf("row-%d", n)
	repo, known := b.repos[row.repo]
	if !known {
		var err error
		if repo, err = b.forge.CreateRepo(owner, name, branch); err != nil {
			return ci.Failure{}, err
		}
		b.repos[row.repo] = repo
	}
	if err := b.forge.Import(owner, name, branch, clone.gitDir, parent); err != nil {
		return ci.Failure{}, err
	}
	runID := int64(1000 + n)
	f := ci.Failure{
		Provider:   "github",
		Repository: ci.Repository{ID: fmt.Sprint(repo.ID), Owner: owner, Name: name, CloneURL: repo.CloneURL, WebURL: repo.WebURL, DefaultBranch: branch},
		Branch:     branch, BaseBranch: branch, Commit: parent, Workflow: ".github/workflows/ci.yml", WorkflowName: "CI",
		RunID: fmt.Sprint(runID), RunAttempt: 1, RunURL: fmt.Sprintf("%s/actions/runs/%d", repo.WebURL, runID), Conclusion: "failure",
	}
	log, err := b.runCI(ctx, n, row, f)
	if err != nil {
		return f, err
	}
	_, err = b.forge.AddJob(owner, name, runID, 1, forgetest.Job{Name: "check", Conclusion: "failure"}, log)
	return f, err
}

// preparing is what a workflow does before its check: it installs what the lock file names, or else the manifest.
const preparing = `export HOME="${TMPDIR:-/tmp}/home"; mkdir -p "$HOME"
if [ -f package-lock.json ]; then npm ci --ignore-scripts --no-audit --no-fund || npm install --ignore-scripts --no-audit --no-fund
elif [ -f package.json ]; then npm install --ignore-scripts --no-audit --no-fund; fi >/dev/null 2>&1
`

// runCI runs the check on the parent commit and returns the job's log as GitHub Actions writes it.
func (b *pairBench) runCI(ctx context.Context, n int, row fixPair, f ci.Failure) (string, error) {
	p := b.pipeline
	remote, _, err := p.Remote(f)
	if err != nil {
		return "", err
	}
	mirror, err := p.Git.OpenMirror(ctx, filepath.Join(b.dir, "ci", f.Repository.Owner+"-"+f.Repository.Name), remote)
	if err != nil {
		return "", err
	}
	if err := mirror.Fetch(ctx, f.Commit); err != nil {
		return "", err
	}
	tree, err := mirror.Checkout(ctx, f.Commit, filepath.Join(b.dir, fmt.Sprintf("ci-%d", n)))
	if err != nil {
		return "", err
	}
	defer func() { _ = tree.Close() }()
	spec := sandbox.Spec{
		Script: preparing + "exec bash -e -c " + fix.Quote(row.check), Dir: tree.Dir(), Network: true, Limits: p.Limits,
		Env: map[string]string{"GOPROXY": p.GoProxy, "GOFLAGS": "-modcacherw"},
	}
	for _, m := range tree.Mounts() {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Host: m.Host, Inside: m.Inside})
	}
	res, err := p.Sandbox.Run(ctx, spec)
	if err != nil {
		return "", err
	}
	if res.Killed != "" {
		return "", errors.New("the check on the parent commit was stopped: " + res.Killed)
	}
	return jobLog(row.check, res), nil
}

// jobLog is what the runner of GitHub Actions prints around a step. A check that is green today is told of as red: it
// was once, and the pipeline has to notice.
func jobLog(check string, res sandbox.Result) string {
	lines := []string{"##[group]Run " + check, "\x1b[36;1m" + check + "\x1b[0m", "shell: /usr/bin/bash -e {0}", "##[endgroup]"}
	if out := strings.TrimRight(res.Output, "\n"); out != "" {
		lines = append(lines, strings.Split(out, "\n")...)
	}
	lines = append(lines, fmt.Sprintf("##[error]Process completed with exit code %d.", max(res.ExitCode, 1)))
	stamp := time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z ")
	return stamp + strings.Join(lines, "\n"+stamp) + "\n"
}
