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
		fork := fromFork{at.Forge, owner}
		at.Forge, at.BeforePush = fork, func(ctx context.Context) error { return fork.check(ctx, at.Owner, at.Name) }
		return at, nil
	}
}

// fromFork is a forge whose new pull requests are from a fork.
type fromFork struct {
	Forge
	owner string
}

func (f fromFork) FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	if fork, _ := forge.SplitHead(branch); fork != "" { // the caller asks for somebody's fork
		return f.Forge.FindPullRequests(ctx, owner, name, branch)
	}
	theirs, err := f.Forge.FindPullRequests(ctx, owner, name, f.owner+":"+branch)
	if err != nil {
		return nil, err
	}
	own, err := f.Forge.FindPullRequests(ctx, owner, name, branch)
	return append(theirs, own...), err
}

// check refuses to go on without a fork, or with a repository that only has a fork's name: a private repository's code
// would be pushed to where others may read it. The permanent error is "fork_missing".
func (f fromFork) check(ctx context.Context, owner, name string) error {
	fork, err := f.Forge.Repository(ctx, f.owner, name)
	if reason, _ := fault.Reason(err); reason == "repository_not_found" {
		return fault.Permf("fork_missing", "PUBLISH_VIA=fork: fork %s/%s to %s/%s, and let the write token push there", owner, name, f.owner, name)
	}
	if err != nil {
		return err
	}
	if !strings.EqualFold(fork.Parent, owner+"/"+name) {
		return fault.Permf("fork_missing", "PUBLISH_VIA=fork: %s/%s is there, and the forge does not call it a fork of %s/%s", f.owner, name, owner, name)
	}
	return nil
}

func (f fromFork) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	pr.HeadOwner = f.owner
	return f.Forge.CreatePullRequest(ctx, owner, name, pr)
}

// forkOf is where an owner's fork of a repository is, by the repository's own name. The permanent error is
// "fork_unsupported": git alone has no forks, and a repository is no fork of itself.
func forkOf(at origin.Place, owner string) (origin.Place, error) {
	switch {
	case at.Forge == origin.PlainGit:
		return origin.Place{}, fault.Permf("fork_unsupported", "PUBLISH_VIA=fork: %s is a git server without forks", at.Base)
	case strings.EqualFold(at.Owner, owner):
		return origin.Place{}, fault.Permf("fork_unsupported", "PUBLISH_VIA=fork: %s/%s is owned by PUBLISH_FORK_OWNER itself", at.Owner, at.Name)
	}
	return origin.Forge{Name: at.Forge, Base: at.Base, User: at.User}.Place(owner, at.Name), nil
}
