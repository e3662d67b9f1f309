package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// CheckCommand is the lint step of the repository's workflow: it prints the files that gofmt would change, and is
// red when there are any.
const CheckCommand = `test -z "$(gofmt -l . | tee /dev/stderr)"`

const (
	checkWithin = time.Minute
	gitWithin   = time.Minute
)

// CheckResult is what the check printed and how it ended.
type CheckResult struct {
	ExitCode int
	Output   string
	Began    time.Time
	Ended    time.Time
}

// Green says whether the check passed.
func (r CheckResult) Green() bool { return r.ExitCode == 0 }

// check clones a branch and runs the check there, as GitHub's runner would: by bash -e.
func (s *Scene) check(ctx context.Context, branch string) (CheckResult, error) {
	dir, err := os.MkdirTemp(s.dir, "check-")
	if err != nil {
		return CheckResult{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tree := filepath.Join(dir, "tree")
	if err := s.git.clone(ctx, s.Repo.CloneURL, s.readToken, branch, tree); err != nil {
		return CheckResult{}, err
	}
	return runCheck(ctx, tree, s.git.env(""))
}

func runCheck(ctx context.Context, tree string, env []string) (CheckResult, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", CheckCommand)
	var out bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = tree, env, &out, &out
	r := CheckResult{Began: time.Now()}
	err := cmd.Run()
	r.Ended, r.Output = time.Now(), out.String()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		r.ExitCode = exit.ExitCode()
	case err != nil:
		return r, fmt.Errorf("run the check: %w: %s", err, strings.TrimSpace(r.Output))
	}
	if strings.Contains(r.Output, "command not found") {
		return r, errors.New("run the check: gofmt is not on PATH")
	}
	return r, nil
}

// actionsLog is the job's log as GitHub Actions writes it: each line with its time, the step's command in a group
// with cyan lines, and an error line at the end.
func actionsLog(r CheckResult) string {
	const cyan, reset = "\x1b[36;1m", "\x1b[0m"
	began := []string{
		"##[group]Run " + CheckCommand, cyan + CheckCommand + reset, "shell: /usr/bin/bash -e {0}", "##[endgroup]",
	}
	ended := strings.Split(strings.TrimRight(r.Output, "\n"), "\n")
	ended = append(ended, fmt.Sprintf("##[error]Process completed with exit code %d.", r.ExitCode))
	var b strings.Builder
	for _, part := range []struct {
		at    time.Time
		lines []string
	}{{r.Began, began}, {r.Ended, ended}} {
		for _, line := range part.lines {
			fmt.Fprintf(&b, "%s %s\n", part.at.UTC().Format("2006-01-02T15:04:05.0000000Z"), line)
		}
	}
	return b.String()
}
