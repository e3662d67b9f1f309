package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// baseBranch is what the webhooks call the repositories' default branch: the publisher reads settings there.
const baseBranch = "master"

// prepareRepositories makes repositories on the local forge, with a branch of its own for each failure, and the bodies
// of the failures' webhooks. dir is where the forge keeps its repositories.
func prepareRepositories(ctx context.Context, forge *forgetest.Server, dir string, repositories, failures int) ([][]byte, error) {
	var bodies [][]byte
	for i := range repositories {
		name := fmt.Sprint("repo-", i)
		repo, err := forge.CreateRepo("acme", name, baseBranch)
		if err != nil {
			return nil, err
		}
		var branches []string
		for n := i; n < failures; n += repositories {
			branches = append(branches, fmt.Sprint("work-", n))
		}
		commits, err := importBranches(ctx, filepath.Join(dir, "acme", name+".git"), branches)
		if err != nil {
			return nil, err
		}
		for k, branch := range branches {
			bodies = append(bodies, githubtest.FailedRun(githubtest.Params{
				RepositoryID: repo.ID, Owner: "acme", Name: name, SHA: commits[k], Branch: branch, RunID: int64(i + k*repositories + 1),
			}))
		}
	}
	return bodies, nil
}

// importBranches makes branches of one commit each, all different, and returns the commits.
func importBranches(ctx context.Context, dir string, branches []string) ([]string, error) {
	var in bytes.Buffer
	for i, branch := range append([]string{baseBranch}, branches...) {
		message := "work on " + branch
		fmt.Fprintf(&in, "commit refs/heads/%s\ncommitter bench <bench@example.org> %d +0000\ndata %d\n%s\nM 100644 inline hello.txt\ndata 6\nhello\n\n",
			branch, 1_700_000_000+i, len(message), message)
	}
	cmd := exec.CommandContext(ctx, "git", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = dir, &in
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("git fast-import: %w: %s", err, out)
	}
	var commits []string
	for _, branch := range branches {
		cmd := exec.CommandContext(ctx, "git", "rev-parse", "--verify", "refs/heads/"+branch)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("git rev-parse %s: %w", branch, err)
		}
		commits = append(commits, strings.TrimSpace(string(out)))
	}
	return commits, nil
}
