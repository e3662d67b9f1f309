package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
)

const gitTimeout = 30 * time.Second

// Repo is a repository. Its fields may be read and changed by the function that With runs.
type Repo struct {
	ID          int64
	Owner, Name string
	Parent      *Repo // of a fork
	Archived    bool
	NoPulls     bool
	Members     map[string]forge.Permission
	Labels      []Label
	Pulls       []*Pull
	Statuses    map[string][]Status

	dir string
}

// Label is a label that a repository knows.
type Label struct {
	ID   int64
	Name string
}

// Status is the latest word of one check about a commit.
type Status struct {
	Check string
	Says  forge.Checks
}

// gitOwner is an owner's name below the git host, which has no groups in groups.
func gitOwner(owner string) string { return strings.ReplaceAll(owner, "/", "-") }

// CreateRepository makes an empty private repository with the default branch main.
func (h *Host) CreateRepository(owner, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.create(owner, name)
	return err
}

func (h *Host) create(owner, name string) (*Repo, error) {
	if h.repos[key(owner, name)] != nil {
		return nil, fmt.Errorf("%s/%s exists", owner, name)
	}
	if _, err := h.git.CreateRepo(gitOwner(owner), name, "main"); err != nil {
		return nil, err
	}
	re := &Repo{
		ID: h.id(), Owner: owner, Name: name, Statuses: map[string][]Status{},
		Members: map[string]forge.Permission{Robot: forge.WritePermission, Looker: forge.ReadPermission},
		dir:     filepath.Join(h.dir, strings.ToLower(gitOwner(owner)), strings.ToLower(name)+".git"),
	}
	h.repos[key(owner, name)] = re
	return re, nil
}

// AddLabel makes a label. The caller holds the lock.
func (h *Host) AddLabel(re *Repo, name string) Label {
	l := Label{h.id(), name}
	re.Labels = append(re.Labels, l)
	return l
}

// FindFork is a fork of a repository by its owner, or the repository itself for its own; nil when there is none. The
// caller holds the lock.
func (h *Host) FindFork(re *Repo, owner string) *Repo {
	if strings.EqualFold(owner, re.Owner) {
		return re
	}
	for _, other := range h.repos {
		if other.Parent == re && strings.EqualFold(other.Owner, owner) {
			return other
		}
	}
	return nil
}

// ByID is the repository with a number. The caller holds the lock.
func (h *Host) ByID(id int64) *Repo {
	for _, re := range h.repos {
		if re.ID == id {
			return re
		}
	}
	return nil
}

// Find is the repository of that name. The caller holds the lock.
func (h *Host) Find(owner, name string) *Repo { return h.repos[key(owner, name)] }

// Branch is where a branch is, or "". The name is never taken for an expression.
func (re *Repo) Branch(name string) string {
	out, err := re.git("show-ref", "--verify", "--hash", "--", "refs/heads/"+name)
	if err != nil {
		return ""
	}
	return out
}

// HasCommit says whether a repository has a commit.
func (re *Repo) HasCommit(sha string) bool {
	_, err := re.git("cat-file", "-e", sha+"^{commit}")
	return err == nil
}

// Branches are all branches with their commits, in the order of their names.
func (re *Repo) Branches() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		out, _ := re.git("for-each-ref", "--format=%(refname:strip=2) %(objectname)", "refs/heads")
		for line := range strings.Lines(out) {
			name, sha, _ := strings.Cut(strings.TrimSpace(line), " ")
			if sha != "" && !yield(name, sha) {
				return
			}
		}
	}
}

// Commit is the commit that a name of hexadecimal digits is the beginning of, or "".
func (re *Repo) Commit(prefix string) string {
	if !hexRE.MatchString(prefix) {
		return ""
	}
	out, err := re.git("rev-parse", "--verify", "--quiet", prefix+"^{commit}")
	if err != nil {
		return ""
	}
	return out
}

var hexRE = regexp.MustCompile(`^[0-9a-f]{7,40}$`)

// Ahead is how many commits a branch has that another has not.
func (re *Repo) Ahead(base, head string) int {
	out, err := re.git("rev-list", "--count", "refs/heads/"+base+"..refs/heads/"+head)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(out)
	return n
}

// Diff is what a pull request changes, as git writes it.
func (re *Repo) Diff(p *Pull) string {
	out, err := re.raw("diff", "--no-color", p.base, p.HeadSHA)
	if err != nil {
		return ""
	}
	return string(out)
}

func (re *Repo) git(args ...string) (string, error) {
	out, err := re.raw(args...)
	return strings.TrimSpace(string(out)), err
}

func (re *Repo) raw(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = re.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + re.dir, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_NAME=forge", "GIT_AUTHOR_EMAIL=forge@localhost", "GIT_COMMITTER_NAME=forge", "GIT_COMMITTER_EMAIL=forge@localhost",
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), errors.Join(fmt.Errorf("git %s: %w", args[0], err), errors.New(strings.TrimSpace(stderr.String())))
	}
	return stdout.Bytes(), nil
}
