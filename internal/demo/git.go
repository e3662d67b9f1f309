package demo

import (
	"bytes"
	"context"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The repository's files. Each name ends with .txt, so that no tool takes them for part of this module.
//
//go:embed all:testdata/repository
var files embed.FS

// push makes the repository's first commit and pushes it.
func (s *Scene) push(ctx context.Context) (commit string, err error) {
	tree := filepath.Join(s.dir, "tree")
	if err := writeFiles(tree); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=" + Branch, "."},
		{"add", "--all", "."},
		{"commit", "--quiet", "--message", "Greet in two languages"},
		{"push", "--quiet", s.Repo.CloneURL, "HEAD:refs/heads/" + Branch},
	} {
		if _, err := s.git.run(ctx, tree, s.writeToken, args...); err != nil {
			return "", err
		}
	}
	return s.git.run(ctx, tree, "", "rev-parse", "HEAD")
}

func writeFiles(dir string) error {
	root, err := fs.Sub(files, "testdata/repository")
	if err != nil {
		return err
	}
	return fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(strings.TrimSuffix(name, ".txt")))
		if err := makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o644)
	})
}

// gitProgram runs git with nothing of the machine's or the user's settings.
type gitProgram struct{ path, home string }

func findGit(home string) (gitProgram, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return gitProgram{}, err
	}
	return gitProgram{path: path, home: home}, makeDir(home)
}

// env is the environment of git and of the check. A token travels as a header by way of the environment, never in
// an argument, which other users of the machine could read.
func (g gitProgram) env(token string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.home, "LC_ALL=C", "TMPDIR=" + os.TempDir(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=",
		"GIT_AUTHOR_NAME=" + actor, "GIT_AUTHOR_EMAIL=" + actor + "@example.com",
		"GIT_COMMITTER_NAME=" + actor, "GIT_COMMITTER_EMAIL=" + actor + "@example.com",
	}
	if token != "" {
		basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))
		env = append(env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic "+basic)
	}
	return env
}

func (g gitProgram) clone(ctx context.Context, url, token, branch, to string) error {
	_, err := g.run(ctx, filepath.Dir(to), token, "clone", "--quiet", "--depth=1", "--single-branch", "--branch="+branch, "--", url, to)
	return err
}

func (g gitProgram) run(ctx context.Context, dir, token string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, g.env(token), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Diff is what a pull request of the scene changes, as git prints it.
func (s *Scene) Diff(ctx context.Context, branch string) (string, error) {
	dir, err := os.MkdirTemp(s.dir, "diff-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tree := filepath.Join(dir, "tree")
	if _, err := s.git.run(ctx, dir, s.readToken, "clone", "--quiet", "--branch="+branch, "--", s.Repo.CloneURL, tree); err != nil {
		return "", err
	}
	return s.git.run(ctx, tree, "", "diff", "--no-color", "--no-ext-diff", "--no-textconv", s.Commit, "HEAD")
}
