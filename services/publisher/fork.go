package publisher

import (
	"context"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/origin"
)

// ViaFork has every pull request come from the forks of one owner. Those that are there already are looked for in the
// repository itself too: they may be from before.
func ViaFork(owner string, targets func(ci.Failure) (Target, error)) func(ci.Failure) (Target, error) {
	if owner == "" {
		return targets
	}
	return func(f ci.Failure) (Target, error) {
		at, err := targets(f)
		if err != nil {
			return Target{}, err
		}
		if _, err := forkOf(at.Place, owner); err != nil {
			return Target{}, err
		}
		at.Forge = fromFork{at.Forge, owner}
		return at, nil
	}
}

// fromFork is a forge whose new pull requests are from a fork.
type fromFork struct {
	Forge
	owner string
}

func (f fromFork) FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	theirs, err := f.Forge.FindPullRequests(ctx, owner, name, f.owner+":"+branch)
	if err != nil {
		return nil, err
	}
	own, err := f.Forge.FindPullRequests(ctx, owner, name, branch)
	return append(theirs, own...), err
}

func (f fromFork) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	pr.HeadOwner = f.owner
	return f.Forge.CreatePullRequest(ctx, owner, name, pr)
}

// forkOf is where an owner's fork of a repository is, by the repository's own name. The permanent error is
// "fork_unsupported": only on GitHub are a fork's pull requests found again, and a repository is no fork of itself.
func forkOf(at origin.Place, owner string) (origin.Place, error) {
	switch {
	case at.Forge != origin.GitHub:
		return origin.Place{}, fault.Permf("fork_unsupported", "PUBLISH_VIA=fork is for GitHub, which %s is not", at.Base)
	case strings.EqualFold(at.Owner, owner):
		return origin.Place{}, fault.Permf("fork_unsupported", "PUBLISH_VIA=fork: %s/%s is owned by PUBLISH_FORK_OWNER itself", at.Owner, at.Name)
	}
	at.Owner = owner
	at.GitURL = strings.TrimRight(at.Base, "/") + "/" + owner + "/" + at.Name + ".git"
	return at, nil
}
