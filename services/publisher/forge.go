package publisher

import (
	"context"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/origin"
)

// Forge finds, opens and marks pull requests. Owner and name are the repository's names there.
type Forge interface {
	// FindPullRequests looks for a branch of this very repository, or, given "owner:branch", of that owner's fork.
	FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error)
	CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error)
	AddLabels(ctx context.Context, owner, name string, number int, labels []string) error
	BranchHead(ctx context.Context, owner, name, branch string) (string, error)
	Repository(ctx context.Context, owner, name string) (forge.Repository, error)
	Comments
	Surroundings
}

// Watched is a forge whose pull requests can be watched too, as those of every one can that is written to.
type Watched interface {
	Forge
	PullRequest(ctx context.Context, owner, name string, number int) (forge.PullRequest, error)
	ClosePullRequest(ctx context.Context, owner, name string, number int) error
	Permission(ctx context.Context, owner, name, login string) (forge.Permission, error)
}

// Surroundings is what others are doing meanwhile.
type Surroundings interface {
	CommitChecks(ctx context.Context, owner, name, commit string) (forge.Checks, error)
	OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error)
	ChangedFiles(ctx context.Context, owner, name string, number int) ([]forge.FileChange, error)
}

// Comments reads and writes the comments of a pull request.
type Comments interface {
	Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error)
	Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error)
	EditComment(ctx context.Context, owner, name string, number int, id, body string) error
}

// Target is one repository with its forge.
type Target struct {
	origin.Place
	Forge Forge
	// BeforePush, unless it is nil, says why a branch must not be pushed.
	BeforePush func(context.Context) error
}

// Writer is a forge that can be written to, and the token that does it: one for all repositories, or one for each.
type Writer struct {
	Token  config.Secret
	Forge  Forge
	Tokens Tokens
}

// Tokens makes the token that git writes to a repository with.
type Tokens interface {
	Token(ctx context.Context, owner, name string) (string, error)
}

func (w Writer) token(ctx context.Context, at origin.Place) (string, error) {
	if w.Tokens != nil {
		return w.Tokens.Token(ctx, at.Owner, at.Name)
	}
	return w.Token.Reveal(), nil
}

// Targets says where the pull requests of a failure's repository are opened. The permanent errors are "no_forge" (it is
// on none that is configured), "no_publisher" (nothing here opens pull requests there) and "no_write_token".
func Targets(forges []origin.Forge, writers map[string]Writer) func(ci.Failure) (Target, error) {
	return func(f ci.Failure) (Target, error) {
		at, err := origin.Find(forges, f)
		if err != nil {
			return Target{}, err
		}
		w, ok := writers[at.Forge]
		switch {
		case !ok:
			return Target{}, fault.Permf("no_publisher", "the fix is verified and kept, and no pull request can be opened on %s, which %s is", at.Forge, at.Base)
		case !w.Token.IsSet() && w.Tokens == nil:
			return Target{}, fault.Permf("no_write_token", "the fix is verified and kept, and nothing here may write to %s: set %s", at.Base, config.WriteTokenName(at.Forge))
		}
		return Target{Place: at, Forge: w.Forge}, nil
	}
}
