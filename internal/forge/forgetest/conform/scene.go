package conform

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// Branch is where the suite pushes its fix to.
const Branch = "sre-agent/fix"

// Scene is a repository on a double: main has a file, and Branch a commit more, unless a case says otherwise.
type Scene struct {
	Driver
	Owner, Name string
	// Base is the branch that is to be fixed, and BaseCommit where it is.
	Base, BaseCommit string
	// Branch is ours, and Commit where we want it.
	Branch, Commit string

	work string // a clone
}

// NewScene makes a repository of its own.
func NewScene(t testing.TB, d Driver) *Scene {
	t.Helper()
	s := &Scene{Driver: d, Name: fmt.Sprintf("shop%d", scenes.Add(1)), Base: "main", Branch: Branch, work: t.TempDir()}
	owner, err := d.NewRepository(s.Name)
	if err != nil {
		t.Fatal(err)
	}
	s.Owner = owner
	s.git(t, "init", "--quiet", "--initial-branch=main")
	s.BaseCommit = s.Push(t, "main", "", "a.txt", "one\n")
	s.Commit = s.Push(t, s.Branch, "main", "a.txt", "two\n")
	return s
}

// scenes numbers the repositories of all doubles.
var scenes atomic.Int64 //nolint:gochecknoglobals // names only have to differ

// Push lets a person commit a file on a branch, made from another one if that is named, and push it.
func (s *Scene) Push(t testing.TB, branch, from, file, text string) string {
	t.Helper()
	s.Commits(t, branch, from, file, text)
	return s.PushBranch(t, s.Owner, s.Name, branch)
}

// Commits commits a file in the clone and pushes nothing.
func (s *Scene) Commits(t testing.TB, branch, from, file, text string) string {
	t.Helper()
	if from != "" {
		s.git(t, "checkout", "--quiet", "-B", branch, from)
	}
	path := filepath.Join(s.work, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s.git(t, "add", "--", file)
	s.git(t, "commit", "--quiet", "-m", "Change "+file)
	return s.git(t, "rev-parse", "HEAD")
}

// PushBranch pushes a branch of the clone to a repository, whatever is there, and returns its commit.
func (s *Scene) PushBranch(t testing.TB, owner, name, branch string) string {
	t.Helper()
	remote := s.Remote(Writer, owner, name)
	s.gitAs(t, &remote, "push", "--quiet", "--force", remote.URL, "refs/heads/"+branch)
	return s.git(t, "rev-parse", "refs/heads/"+branch)
}

// Delete lets a person delete a branch.
func (s *Scene) Delete(t testing.TB, branch string) {
	t.Helper()
	remote := s.Remote(Writer, s.Owner, s.Name)
	s.gitAs(t, &remote, "push", "--quiet", remote.URL, ":refs/heads/"+branch)
}

// Head asks git where a branch is; it is empty when there is none.
func (s *Scene) Head(t testing.TB, branch string) string {
	t.Helper()
	remote := s.Remote(Writer, s.Owner, s.Name)
	sha, _, _ := strings.Cut(s.gitAs(t, &remote, "ls-remote", remote.URL, "refs/heads/"+branch), "\t")
	return sha
}

// Fix is the pull request that we want.
func (s *Scene) Fix() forge.NewPullRequest {
	return forge.NewPullRequest{Title: "Fix the build", Head: s.Branch, Base: s.Base, Body: "why: *because*"}
}

// See is what is there.
func (s *Scene) See(t testing.TB) []Seen {
	t.Helper()
	seen, err := s.Seen(s.Owner, s.Name)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// must ends the test on an error of a person's act.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *Scene) git(t testing.TB, args ...string) string {
	t.Helper()
	return s.gitAs(t, nil, args...)
}

// gitAs runs git with a token in the environment, never in its arguments.
func (s *Scene) gitAs(t testing.TB, remote *gitrepo.Remote, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = s.work
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	if remote != nil && remote.Token != "" {
		user := remote.Username
		if user == "" {
			user = "x-access-token"
		}
		cmd.Env = append(cmd.Env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader",
			"GIT_CONFIG_VALUE_0=Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+remote.Token)))
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}
