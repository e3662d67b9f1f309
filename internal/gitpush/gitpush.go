// Package gitpush makes commits and pushes them. Only the publisher links it.
//
// It promises:
//   - It never has a work tree, and so never runs or even unpacks what is in a repository.
//   - A commit is a function of its base, diff, metadata and signing key: whoever makes it again gets the same id.
//   - A signing key is used in this process, and no other program ever gets it.
//   - It pushes to branches below sre-agent/ and nowhere else, and only when the branch is where it is expected.
package gitpush

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

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

// Commit makes the commit that applies diff to base, in the mirror and without a work tree, and returns its id. A diff
// that does not apply exactly is "patch_does_not_apply"; one that changes nothing is "empty_patch". What is signed and
// can't be is "commit_not_signed".
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
	commit, err := run([]byte(meta.text()), "commit-tree", "-p", base, tree)
	if err == nil && meta.Signer != nil {
		commit, err = p.signed(ctx, mirror, commit, meta)
	}
	if err != nil {
		return "", fmt.Errorf("commit on %s: %w", base, err)
	}
	return commit, nil
}

// signed writes a commit again with its signature and returns the id of that.
func (p *Pusher) signed(ctx context.Context, mirror *gitrepo.Mirror, commit string, meta CommitMeta) (string, error) {
	plain, err := p.git.Run(ctx, gitrepo.Cmd{GitDir: mirror.Dir(), Args: []string{"cat-file", "commit", commit}})
	if err != nil {
		return "", err
	}
	whole, err := meta.Signer.attach(plain, meta.When)
	if err != nil {
		return "", fault.Perm("commit_not_signed", err)
	}
	out, err := p.git.Run(ctx, gitrepo.Cmd{
		GitDir: mirror.Dir(), Args: []string{"hash-object", "-t", "commit", "-w", "--stdin"}, Stdin: whole,
	})
	return strings.TrimSpace(string(out)), err
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
	out, err := p.update(ctx, gitrepo.Cmd{GitDir: mirror.Dir(), Remote: &remote}, commit, branch, expectedOld)
	if err != nil && strings.Contains(out, "(shallow update not allowed)") {
		out, err = p.pushWhole(ctx, mirror, remote, commit, branch, expectedOld)
	}
	if err == nil {
		p.log.InfoContext(ctx, "pushed", "branch", branch, "commit", commit)
		return nil
	}
	return fmt.Errorf("push %s to %s: %w", commit, branch, rejected(out, err))
}

// pushWhole pushes with the history that a mirror has not: to a fork that lags behind its repository.
func (p *Pusher) pushWhole(ctx context.Context, mirror *gitrepo.Mirror, remote gitrepo.Remote, commit, branch, expectedOld string) (string, error) {
	base, err := p.git.Run(ctx, gitrepo.Cmd{GitDir: mirror.Dir(), Args: []string{"rev-parse", "--verify", commit + "^"}})
	if err != nil {
		return "", err
	}
	whole, err := mirror.Whole(ctx, strings.TrimSpace(string(base)))
	if err != nil {
		return "", err
	}
	from := gitrepo.Cmd{GitDir: whole, Objects: filepath.Join(mirror.Dir(), "objects"), Remote: &remote}
	return p.update(ctx, from, commit, branch, expectedOld)
}

// Delete removes branch if it is at expectedOld, else ErrLease. One that is gone already is a success. The permanent
// reasons are those of Push.
func (p *Pusher) Delete(ctx context.Context, mirror *gitrepo.Mirror, remote gitrepo.Remote, branch, expectedOld string) error {
	if err := checkRef(branch); err != nil {
		return err
	}
	if err := gitrepo.CheckCommit(expectedOld); err != nil {
		return err
	}
	out, err := p.update(ctx, gitrepo.Cmd{GitDir: mirror.Dir(), Remote: &remote}, "", branch, expectedOld)
	if err == nil {
		p.log.InfoContext(ctx, "deleted", "branch", branch, "commit", expectedOld)
		return nil
	}
	err = rejected(out, err)
	if errors.Is(err, ErrLease) {
		if _, there, herr := p.RemoteHead(ctx, remote, branch); herr == nil && !there {
			return nil
		}
	}
	return fmt.Errorf("delete %s: %w", branch, err)
}

// update moves branch from expectedOld to commit; an empty commit deletes it. From says whose objects go to which remote.
func (p *Pusher) update(ctx context.Context, from gitrepo.Cmd, commit, branch, expectedOld string) (string, error) {
	ref := "refs/heads/" + branch
	from.Args = []string{
		"push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--no-recurse-submodules", "--no-mirror", "--thin",
		"--force-with-lease=" + ref + ":" + expectedOld, "--", "origin", commit + ":" + ref,
	}
	out, err := p.git.Run(ctx, from)
	return string(out), err
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
		for _, lost := range []string{"(stale info)", "(fetch first)", "(non-fast-forward)", "cannot lock ref", "failed to update ref", "reference already exists", "incorrect old value", "remote ref does not exist"} {
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
