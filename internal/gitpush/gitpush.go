// Package gitpush makes commits and pushes them. Only the publisher links it.
//
// It promises:
//   - It never has a work tree, and so never runs or even unpacks what is in a repository.
//   - A commit is a function of its base, diff and metadata: whoever makes it again gets the same id.
//   - It pushes to branches below sre-agent/ and nowhere else, and only when the branch is where it is expected.
package gitpush

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// BranchPrefix begins every branch that may be pushed.
const BranchPrefix = "sre-agent/"

// ErrLease says that a branch is not where it was expected: somebody else has moved, made or removed it.
var ErrLease = errors.New("the branch is not where it was expected")

// Pusher writes. It is safe for concurrent use.
type Pusher struct {
	git *gitrepo.Git
	log *slog.Logger
}

// New finds git, as gitrepo.New does.
func New(bin string, log *slog.Logger, opts ...gitrepo.Option) (*Pusher, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	git, err := gitrepo.New(bin, log, append(opts, gitrepo.AllowPush())...)
	if err != nil {
		return nil, err
	}
	return &Pusher{git: git, log: log}, nil
}

// OpenMirror opens a mirror for Commit and Push.
func (p *Pusher) OpenMirror(ctx context.Context, dir string, remote gitrepo.Remote) (*gitrepo.Mirror, error) {
	return p.git.OpenMirror(ctx, dir, remote)
}

// CommitMeta is what goes into a commit beside its files. When counts in whole seconds.
type CommitMeta struct {
	Message, AuthorName, AuthorEmail string
	When                             time.Time
}

func (m CommitMeta) env() (map[string]string, error) {
	if strings.TrimSpace(m.Message) == "" || strings.ContainsRune(m.Message, 0) {
		return nil, errors.New("the message is empty or has a zero byte")
	}
	for _, s := range []string{m.AuthorName, m.AuthorEmail} {
		if strings.TrimSpace(s) == "" || strings.ContainsAny(s, "<>\n\r\x00") {
			return nil, fmt.Errorf("%q is no author", s)
		}
	}
	if m.When.Unix() < 0 {
		return nil, errors.New("the time is before 1970")
	}
	when := "@" + strconv.FormatInt(m.When.Unix(), 10) + " +0000"
	return map[string]string{
		"GIT_AUTHOR_NAME": m.AuthorName, "GIT_AUTHOR_EMAIL": m.AuthorEmail, "GIT_AUTHOR_DATE": when,
		"GIT_COMMITTER_NAME": m.AuthorName, "GIT_COMMITTER_EMAIL": m.AuthorEmail, "GIT_COMMITTER_DATE": when,
	}, nil
}

// Commit makes the commit that applies diff to base, in the mirror and without a work tree, and returns its id. A diff
// that does not apply exactly is "patch_does_not_apply"; one that changes nothing is "empty_patch".
func (p *Pusher) Commit(ctx context.Context, mirror *gitrepo.Mirror, base string, diff []byte, meta CommitMeta) (string, error) {
	env, err := meta.env()
	if err != nil {
		return "", fault.Permf("bad_commit_metadata", "commit: %w", err)
	}
	if err := mirror.Fetch(ctx, base); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp("", "gitpush-")
	if err != nil {
		return "", fmt.Errorf("gitpush: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	run := func(stdin []byte, args ...string) (string, error) {
		out, err := p.git.Run(ctx, gitrepo.Cmd{
			GitDir: mirror.Dir(), IndexFile: filepath.Join(scratch, "index"), Args: args, Stdin: stdin, Env: env,
		})
		return strings.TrimSpace(string(out)), err
	}
	if _, err := run(nil, "read-tree", base); err != nil {
		return "", fmt.Errorf("commit on %s: %w", base, err)
	}
	if _, err := run(diff, "apply", "--cached", "--whitespace=nowarn", "-"); err != nil {
		var failed *gitrepo.Error
		if errors.As(err, &failed) && failed.ExitCode > 0 {
			return "", fault.Perm("patch_does_not_apply", err)
		}
		return "", fmt.Errorf("commit on %s: %w", base, err)
	}
	before, err := run(nil, "rev-parse", "--verify", base+"^{tree}")
	if err != nil {
		return "", fmt.Errorf("commit on %s: %w", base, err)
	}
	tree, err := run(nil, "write-tree")
	if err != nil {
		return "", fmt.Errorf("commit on %s: %w", base, err)
	}
	if tree == before {
		return "", fault.Permf("empty_patch", "the patch changes nothing on %s", base)
	}
	commit, err := run([]byte(meta.Message), "commit-tree", "-p", base, tree)
	if err != nil {
		return "", fmt.Errorf("commit on %s: %w", base, err)
	}
	return commit, nil
}

// RemoteHead asks the remote for the commit that a branch is at, and false when there is no such branch.
func (p *Pusher) RemoteHead(ctx context.Context, remote gitrepo.Remote, branch string) (sha string, ok bool, err error) {
	return p.git.RemoteHead(ctx, remote, branch)
}

// Push moves branch to a commit that Commit made, if the branch is at expectedOld (empty: if there is no such branch),
// else ErrLease. A branch that is at the commit already is a success: an earlier push may have got through unseen.
//
// Permanent reasons: "ref_not_allowed", "unauthorized", "forbidden", "repository_archived", "repository_not_found",
// "push_rejected".
func (p *Pusher) Push(ctx context.Context, mirror *gitrepo.Mirror, remote gitrepo.Remote, commit, branch, expectedOld string) error {
	if err := checkRef(branch); err != nil {
		return err
	}
	if err := gitrepo.CheckCommit(commit); err != nil {
		return err
	}
	if expectedOld != "" {
		if err := gitrepo.CheckCommit(expectedOld); err != nil {
			return err
		}
	}
	ref := "refs/heads/" + branch
	out, err := p.git.Run(ctx, gitrepo.Cmd{
		GitDir: mirror.Dir(), Remote: &remote,
		Args: []string{
			"push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--no-recurse-submodules", "--no-mirror", "--thin",
			"--force-with-lease=" + ref + ":" + expectedOld, "--", "origin", commit + ":" + ref,
		},
	})
	if err == nil {
		p.log.InfoContext(ctx, "pushed", "branch", branch, "commit", commit)
		return nil
	}
	return fmt.Errorf("push %s to %s: %w", commit, branch, rejected(string(out), err))
}

func checkRef(branch string) error {
	if !strings.HasPrefix(branch, BranchPrefix) {
		return fault.Permf("ref_not_allowed", "%.200q is not below %s", branch, BranchPrefix)
	}
	if err := gitrepo.CheckBranch(branch); err != nil {
		return fault.Perm("ref_not_allowed", err)
	}
	return nil
}

// rejected reads the line of git push --porcelain that says what became of the branch.
func rejected(out string, err error) error {
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "!") {
			continue
		}
		for _, lost := range []string{"(stale info)", "(fetch first)", "(non-fast-forward)", "cannot lock ref", "failed to update ref", "reference already exists", "incorrect old value"} {
			if strings.Contains(line, lost) {
				return fmt.Errorf("%w: %w", ErrLease, err)
			}
		}
		if strings.Contains(line, "[remote rejected]") {
			return fault.Perm("push_rejected", fmt.Errorf("%.300q: %w", strings.TrimSpace(line), err))
		}
	}
	return err
}
