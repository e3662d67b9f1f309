package forgetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const gitTimeout = 30 * time.Second

// Repo is a repository on the forge.
type Repo struct {
	ID            int64
	Owner         string
	Name          string
	CloneURL      string
	WebURL        string
	DefaultBranch string
}

type repo struct {
	Repo
	dir      string
	archived bool
	created  time.Time
	prs      []*PR
	comments int64 // how many there ever were
	jobs     []job
	runs     []Run
	archives map[string][]byte
	parent   *repo             // of a fork
	members  map[string]string // what people may do
	checks   []Check
	commits  map[string]bool      // known to be there: none ever goes
	common   map[[2]string]string // merge bases that were asked for
}

// nameRE is what GitHub takes for an owner or a repository, less what could leave a folder.
var nameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,98}[A-Za-z0-9_-]$|^[A-Za-z0-9]$`)

// CreateRepo makes an empty repository. Fill it by pushing with a write token.
func (s *Server) CreateRepo(owner, name, defaultBranch string) (Repo, error) {
	if !nameRE.MatchString(owner) || !nameRE.MatchString(name) || strings.HasSuffix(owner, ".git") || strings.HasSuffix(name, ".git") {
		return Repo{}, fmt.Errorf("create repository: %q/%q is not a name", owner, name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos[key(owner, name)] != nil {
		return Repo{}, fmt.Errorf("create repository %s/%s: it exists", owner, name)
	}
	dir := filepath.Join(s.dir, strings.ToLower(owner), strings.ToLower(name)+".git")
	if err := s.initBare(dir, defaultBranch); err != nil {
		return Repo{}, fmt.Errorf("create repository %s/%s: %w", owner, name, err)
	}
	s.nextID++
	web := s.url + "/" + owner + "/" + name
	re := &repo{dir: dir, created: s.opts.Now(), commits: map[string]bool{}, common: map[[2]string]string{}, Repo: Repo{
		ID: s.nextID, Owner: owner, Name: name, WebURL: web, CloneURL: web + ".git", DefaultBranch: defaultBranch,
	}}
	s.repos[key(owner, name)] = re
	return re.Repo, nil
}

func (s *Server) initBare(dir, branch string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if _, err := s.gitIn(dir, "init", "--quiet", "--bare", "--template=", "--initial-branch="+branch, "."); err != nil {
		return err
	}
	for _, kv := range [][2]string{
		{"uploadpack.allowFilter", "true"},
		{"uploadpack.allowAnySHA1InWant", "true"},
		{"receive.fsckObjects", "true"},
		{"receive.autogc", "false"}, // a background gc would outlive Close
		{"gc.auto", "0"},
		{"core.alternateRefsCommand", "true"}, // a push would list the refs of the repository that it goes to a second time
	} {
		if _, err := s.gitIn(dir, "config", kv[0], kv[1]); err != nil {
			return err
		}
	}
	return nil
}

// Import makes a branch of a repository at a commit that a git directory on this machine has, with its history.
func (s *Server) Import(owner, name, branch, gitDir, commit string) error {
	if !importRE.MatchString(commit) {
		return fmt.Errorf("import into %s/%s: %q is no commit id", owner, name, commit)
	}
	return s.withRepo(owner, name, func(re *repo) error {
		_, err := s.gitIn(re.dir, "fetch", "--quiet", "--no-tags", "--update-shallow", "--", gitDir, commit+":refs/heads/"+branch)
		return err
	})
}

var importRE = regexp.MustCompile(`^[0-9a-f]{40}$`)

// has says whether a commit is there. The caller holds the lock.
func (s *Server) has(re *repo, commit string) bool {
	if re.commits[commit] {
		return true
	}
	_, err := s.gitIn(re.dir, "cat-file", "-e", commit+"^{commit}")
	if err == nil && importRE.MatchString(commit) {
		re.commits[commit] = true
	}
	return err == nil
}

// SetArchived makes a repository read-only, or lets it be written again.
func (s *Server) SetArchived(owner, name string, archived bool) error {
	return s.withRepo(owner, name, func(re *repo) error {
		re.archived = archived
		return nil
	})
}

// BranchHead returns the commit of a branch, or "" when there is no such branch.
func (s *Server) BranchHead(owner, name, branch string) (string, error) {
	var sha string
	err := s.withRepo(owner, name, func(re *repo) error {
		sha = s.branch(re, branch)
		return nil
	})
	return sha, err
}

func key(owner, name string) string { return strings.ToLower(owner + "/" + name) }

// withRepo runs f under the lock, on a repository whose pull requests are up to date with its branches.
func (s *Server) withRepo(owner, name string, f func(*repo) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	re := s.repos[key(owner, name)]
	if re == nil {
		return fmt.Errorf("no repository %s/%s", owner, name)
	}
	s.sync(re)
	return f(re)
}

func (s *Server) find(owner, name string) *repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repos[key(owner, name)]
}

// branch reads one exact ref: the name is never taken for an expression such as "main~1".
func (s *Server) branch(re *repo, name string) string { return s.ref(re, "refs/heads/"+name) }

// ref reads a ref from its file, as nearly all are, and asks git for the others.
func (s *Server) ref(re *repo, ref string) string {
	if path.Clean(ref) == ref {
		text, err := os.ReadFile(filepath.Join(re.dir, filepath.FromSlash(ref)))
		if id := strings.TrimSpace(string(text)); err == nil && importRE.MatchString(id) {
			return id
		}
		if _, packed := os.Stat(filepath.Join(re.dir, "packed-refs")); errors.Is(err, os.ErrNotExist) && errors.Is(packed, os.ErrNotExist) {
			return ""
		}
	}
	out, err := s.gitIn(re.dir, "show-ref", "--verify", "--hash", "--", ref)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// gitEnv keeps the machine's and the user's git settings out.
func (s *Server) gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=forge", "GIT_AUTHOR_EMAIL=forge@localhost",
		"GIT_COMMITTER_NAME=forge", "GIT_COMMITTER_EMAIL=forge@localhost",
	}
}

func (s *Server) gitIn(dir string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.git, args...)
	cmd.Dir = dir
	cmd.Env = s.gitEnv()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(fmt.Errorf("git %s: %w", args[0], err), errors.New(strings.TrimSpace(stderr.String())))
	}
	return stdout.Bytes(), nil
}
