package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const gitWithin = 30 * time.Second

// git runs git in dir without anything of the machine's settings.
func git(ctx context.Context, dir string, stdin []byte, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_NAME=dev", "GIT_AUTHOR_EMAIL=dev@example.com", "GIT_COMMITTER_NAME=dev", "GIT_COMMITTER_EMAIL=dev@example.com",
	}, env...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// settingsFile names the check of each repository: one that takes long enough to be hit.
const settingsFile = `version: 1
checks:
  - job: lint
    run: |
      sleep %.1f
      test -z "$(gofmt -l . | tee /dev/stderr)"
`

// commit writes files, commits them and pushes them to the bare repository of the forge.
func commit(ctx context.Context, tree, bare, branch string, files map[string]string) (string, error) {
	if _, err := os.Stat(filepath.Join(tree, ".git")); err != nil {
		if err := os.MkdirAll(tree, 0o700); err != nil {
			return "", err
		}
		if _, err := git(ctx, tree, nil, nil, "init", "-q", "-b", branch); err != nil {
			return "", err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	for _, args := range [][]string{
		{"add", "-A"}, {"commit", "-qm", "work"}, {"push", "-q", bare, "HEAD:refs/heads/" + branch},
	} {
		if _, err := git(ctx, tree, nil, nil, args...); err != nil {
			return "", err
		}
	}
	return git(ctx, tree, nil, nil, "rev-parse", "HEAD")
}

// applied says what a commit's only parent is, and whether diff applied to it gives exactly the commit's tree.
func applied(ctx context.Context, bare, head string, diff []byte) (parent string, same bool, err error) {
	parents, err := git(ctx, bare, nil, nil, "rev-list", "--parents", "-n", "1", head)
	if err != nil {
		return "", false, err
	}
	ids := strings.Fields(parents)
	if len(ids) != 2 {
		return strings.Join(ids[1:], " "), false, nil
	}
	parent = ids[1]
	dir, err := os.MkdirTemp("", "chaos-index-")
	if err != nil {
		return parent, false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	env := []string{
		"GIT_INDEX_FILE=" + filepath.Join(dir, "index"), "GIT_OBJECT_DIRECTORY=" + filepath.Join(dir, "objects"),
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + filepath.Join(bare, "objects"),
	}
	if err := os.Mkdir(filepath.Join(dir, "objects"), 0o700); err != nil {
		return parent, false, err
	}
	if _, err := git(ctx, bare, nil, env, "read-tree", parent); err != nil {
		return parent, false, err
	}
	if _, err := git(ctx, bare, diff, env, "apply", "--cached", "-"); err != nil {
		return parent, false, nil // a diff that does not apply is an answer
	}
	built, err := git(ctx, bare, nil, env, "write-tree")
	if err != nil {
		return parent, false, err
	}
	tree, err := git(ctx, bare, nil, nil, "rev-parse", head+"^{tree}")
	return parent, built == tree, err
}
