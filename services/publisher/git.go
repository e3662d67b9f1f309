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
	Remote func(origin.Place) gitrepo.Remote
	// Name and Email are the author of every commit.
	Name, Email string
}

func (m *Mirrors) open(ctx context.Context, at origin.Place) (*gitrepo.Mirror, gitrepo.Remote, error) {
	remote := m.Remote(at)
	mirror, err := m.Push.OpenMirror(ctx, filepath.Join(m.Dir, at.Forge+"-"+ci.ShortKey(at.GitURL)), remote)
	return mirror, remote, err
}

// Commit implements Git.
func (m *Mirrors) Commit(ctx context.Context, at origin.Place, c Commit) (string, error) {
	mirror, _, err := m.open(ctx, at)
	if err != nil {
		return "", err
	}
	return m.Push.Commit(ctx, mirror, c.Base, c.Diff, gitpush.CommitMeta{
		Message: c.Message, AuthorName: m.Name, AuthorEmail: m.Email, When: c.When,
	})
}

// RemoteHead implements Git.
func (m *Mirrors) RemoteHead(ctx context.Context, at origin.Place, branch string) (id string, exists bool, err error) {
	return m.Push.RemoteHead(ctx, m.Remote(at), branch)
}

// Settings implements Git.
func (m *Mirrors) Settings(ctx context.Context, at origin.Place, branch string) (*repoconfig.Config, error) {
	mirror, _, err := m.open(ctx, at)
	if err != nil {
		return nil, err
	}
	head := mirror.DefaultHead
	if branch != "" {
		head = func(ctx context.Context) (string, error) { return mirror.BranchHead(ctx, branch) }
	}
	commit, err := head(ctx)
	if err != nil {
		return nil, err
	}
	if err := mirror.Fetch(ctx, commit); err != nil {
		return nil, err
	}
	data, _, err := mirror.ReadFile(ctx, commit, repoconfig.Path, repoconfig.MaxBytes)
	if err != nil {
		return nil, err
	}
	return repoconfig.Parse(data)
}

// newest is how many commits of a branch are looked through for one that takes ours back.
const newest = 200

// Messages implements History, in a mirror of its own that holds no files.
func (m *Mirrors) Messages(ctx context.Context, at origin.Place, branch string) ([]gitrepo.Message, error) {
	mirror, err := m.Push.OpenMirror(ctx, filepath.Join(m.Dir, "history-"+at.Forge+"-"+ci.ShortKey(at.GitURL)), m.Remote(at))
	if err != nil {
		return nil, err
	}
	return mirror.Messages(ctx, branch, newest)
}

// PushNew implements Git.
func (m *Mirrors) PushNew(ctx context.Context, at origin.Place, commit, branch string) error {
	mirror, remote, err := m.open(ctx, at)
	if err != nil {
		return err
	}
	err = m.Push.Push(ctx, mirror, remote, commit, branch, "")
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
