package publisher

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitpush"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/scan"
)

// Mirrors is Git on bare mirrors of the publisher's own.
type Mirrors struct {
	Push *gitpush.Pusher
	// Dir holds the mirrors.
	Dir string
	// Remote says how a repository is pushed to, with the token that may write.
	Remote func(context.Context, origin.Place) (gitrepo.Remote, error)
	// Name and Email are the author of every commit; the committer is the author where nobody else is named.
	Name, Email, CommitterName, CommitterEmail string
	// SignOff adds the author's sign-off; Signer signs, unless it is nil.
	SignOff bool
	Signer  *gitpush.Signer
	// ForkOwner owns the forks that are pushed to; empty: the repositories themselves are.
	ForkOwner string

	opened openMirrors
}

// pushed is where the branches of a repository's fixes are.
func (m *Mirrors) pushed(ctx context.Context, at origin.Place) (gitrepo.Remote, error) {
	if m.ForkOwner == "" {
		return m.Remote(ctx, at)
	}
	fork, err := forkOf(at, m.ForkOwner)
	if err != nil {
		return gitrepo.Remote{}, err
	}
	return m.Remote(ctx, fork)
}

func (m *Mirrors) open(ctx context.Context, at origin.Place) (*gitrepo.Mirror, error) {
	remote, err := m.Remote(ctx, at)
	if err != nil {
		return nil, err
	}
	return m.opened.open(filepath.Join(m.Dir, at.Forge+"-"+ci.ShortKey(at.GitURL)), remote, func(dir string) (*gitrepo.Mirror, error) {
		return m.Push.OpenMirror(ctx, dir, remote)
	})
}

// Commit implements Git.
func (m *Mirrors) Commit(ctx context.Context, at origin.Place, c Commit) (string, error) {
	mirror, err := m.open(ctx, at)
	if err != nil {
		return "", err
	}
	id, err := m.Push.Commit(ctx, mirror, c.Base, c.Diff, gitpush.CommitMeta{
		Message: c.Message, AuthorName: m.Name, AuthorEmail: m.Email, CommitterName: m.CommitterName, CommitterEmail: m.CommitterEmail,
		When: c.When, SignOff: m.SignOff, Signer: m.Signer,
	})
	return id, m.opened.used(mirror, err)
}

// RemoteHead implements Git.
func (m *Mirrors) RemoteHead(ctx context.Context, at origin.Place, branch string) (id string, exists bool, err error) {
	remote, err := m.pushed(ctx, at)
	if err != nil {
		return "", false, err
	}
	return m.Push.RemoteHead(ctx, remote, branch)
}

// newest is how many commits of a branch are looked through for one that takes ours back.
const newest = 200

// Messages implements History, in a mirror of its own that holds no files.
func (m *Mirrors) Messages(ctx context.Context, at origin.Place, branch string) ([]gitrepo.Message, error) {
	remote, err := m.Remote(ctx, at)
	if err != nil {
		return nil, err
	}
	mirror, err := m.Push.OpenMirror(ctx, filepath.Join(m.Dir, "history-"+at.Forge+"-"+ci.ShortKey(at.GitURL)), remote)
	if err != nil {
		return nil, err
	}
	return mirror.Messages(ctx, branch, newest)
}

// Off implements Settings.
func (m *Mirrors) Off(ctx context.Context, at origin.Place, branch, commit string) (bool, error) {
	mirror, err := m.open(ctx, at)
	if err != nil {
		return false, err
	}
	head, err := mirror.FetchHead(ctx, branch, commit)
	if err != nil {
		return false, m.opened.used(mirror, err)
	}
	data, exists, err := mirror.ReadFile(ctx, head, repoconfig.Path, repoconfig.MaxBytes)
	if err != nil || !exists {
		return false, m.opened.used(mirror, err)
	}
	settings, err := repoconfig.Parse(data)
	return err == nil && settings.Mode == repoconfig.ModeOff, err
}

// PushNew implements Git.
func (m *Mirrors) PushNew(ctx context.Context, at origin.Place, commit, branch string) error {
	remote, err := m.pushed(ctx, at)
	if err != nil {
		return err
	}
	mirror, err := m.open(ctx, at)
	if err != nil {
		return err
	}
	err = m.opened.used(mirror, m.Push.Push(ctx, mirror, remote, commit, branch, ""))
	if errors.Is(err, gitpush.ErrLease) {
		return ErrBranchMoved
	}
	return err
}

// Rules reviews a diff by the rules that hold everywhere, the same that the runner has. A repository's own rules only
// ever add to them, and the runner has applied those.
type Rules struct {
	Scanner *scan.Scanner
	Policy  policy.Rules
}

// Review implements Reviewer.
func (r Rules) Review(ctx context.Context, diff []byte) error {
	p, err := patch.Parse(diff)
	if err != nil {
		return err
	}
	if v := policy.Check(p, r.Policy); !v.Allowed {
		return fault.Permf(v.Reason, "the publisher's own check refuses it: %s", v.Details[0].Message)
	}
	findings, err := r.Scanner.Scan(ctx, p)
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return fault.Permf(scan.ReasonFound, "the patch would add a secret: rule %s, line %d", findings[0].Rule, findings[0].Line)
	}
	return nil
}
