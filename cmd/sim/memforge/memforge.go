// Package memforge is a forge with git in memory: the double of GitHub and of the publisher's mirrors for the simulator.
//
// It promises GitHub's rules: one open pull request per head branch, 422 when there is one or when the base is gone,
// a branch created only where there is none; and that people may do to it what people do.
package memforge

import (
	"context"
	"crypto/sha1" //nolint:gosec // git's ids are SHA-1; nothing is secured by it
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// PullRequest is a pull request with what only the forge's owner sees.
type PullRequest struct {
	forge.PullRequest
	Repo string
	// Ours says that the publisher opened it; Reopened that a person did so again.
	Ours, Reopened bool
}

// Repo is one repository.
type Repo struct {
	Name     string
	Branches map[string]string
	Pulls    []*PullRequest
}

// Forge is safe for concurrent use.
type Forge struct {
	mu      sync.Mutex
	off     guard.Off
	repos   map[string]*Repo
	commits map[string]publisher.Commit
	// comments are those of each pull request, by owner/name#number.
	comments map[string][]forge.Comment
	// Bad is told of each thing that a publisher may never do.
	Bad func(format string, args ...any)
	n   int
}

// New returns a forge without repositories.
func New(off guard.Off) *Forge {
	return &Forge{off: off, repos: map[string]*Repo{}, commits: map[string]publisher.Commit{}, comments: map[string][]forge.Comment{}, Bad: func(string, ...any) {}}
}

// Add makes a repository with one branch.
func (f *Forge) Add(owner, name, branch string) *Repo {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &Repo{Name: owner + "/" + name, Branches: map[string]string{branch: f.id("first " + name)}}
	f.repos[r.Name] = r
	return r
}

func (f *Forge) id(what string) string {
	f.n++
	sum := sha1.Sum(fmt.Appendf(nil, "%d %s", f.n, what)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// Push is a person's: a new commit on a branch, which may be new.
func (f *Forge) Push(r *Repo, branch string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Branches[branch] = f.id(branch)
	return r.Branches[branch]
}

// DeleteBranch is a person's; it closes the pull requests from and into it.
func (f *Forge) DeleteBranch(r *Repo, branch string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(r.Branches, branch)
	for _, p := range r.Pulls {
		if p.State == forge.Open && (p.HeadRef == branch || p.BaseRef == branch) {
			p.State = forge.Closed
		}
	}
}

// Close closes a pull request, as a person does.
func (f *Forge) Close(p *PullRequest) { f.mu.Lock(); defer f.mu.Unlock(); p.State = forge.Closed }

// Merge merges an open pull request: the base branch moves.
func (f *Forge) Merge(r *Repo, p *PullRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.State, p.Merged = forge.Closed, true
	r.Branches[p.BaseRef] = f.id("merge")
}

// Reopen opens a closed pull request again where GitHub allows it.
func (f *Forge) Reopen(r *Repo, p *PullRequest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, head := r.Branches[p.HeadRef]
	_, base := r.Branches[p.BaseRef]
	if p.State == forge.Open || p.Merged || !head || !base || f.openOf(r, p.HeadRef) != nil {
		return false
	}
	p.State, p.Reopened = forge.Open, true
	return true
}

func (f *Forge) openOf(r *Repo, head string) *PullRequest {
	for _, p := range r.Pulls {
		if p.HeadRef == head && p.State == forge.Open {
			return p
		}
	}
	return nil
}

func (f *Forge) repo(owner, name string) (*Repo, error) {
	r := f.repos[owner+"/"+name]
	if r == nil {
		return nil, fault.Permf("repository_not_found", "no repository %s/%s", owner, name)
	}
	return r, nil
}

// FindPullRequests is publisher.Forge's: every state, the newest first.
func (f *Forge) FindPullRequests(_ context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(owner, name)
	if err != nil || f.off[guard.ForgeFind] {
		return nil, err
	}
	var out []forge.PullRequest
	for i := len(r.Pulls) - 1; i >= 0; i-- {
		if p := r.Pulls[i]; p.HeadRef == branch {
			out = append(out, f.see(r, p))
		}
	}
	return out, nil
}

func (f *Forge) see(r *Repo, p *PullRequest) forge.PullRequest {
	if head, ok := r.Branches[p.HeadRef]; ok && p.State == forge.Open {
		p.HeadSHA = head
	}
	return p.PullRequest
}

// CreatePullRequest is publisher.Forge's.
func (f *Forge) CreatePullRequest(_ context.Context, owner, name string, in forge.NewPullRequest) (forge.PullRequest, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(owner, name)
	if err != nil {
		return forge.PullRequest{}, err
	}
	return f.create(r, in, true)
}

func (f *Forge) create(r *Repo, in forge.NewPullRequest, ours bool) (forge.PullRequest, error) {
	if _, ok := r.Branches[in.Base]; !ok {
		return forge.PullRequest{}, fault.Permf("base_branch_missing", "422: base %s", in.Base)
	}
	head, ok := r.Branches[in.Head]
	if !ok {
		return forge.PullRequest{}, errors.New("422: head: the forge does not see the head branch yet")
	}
	if head == r.Branches[in.Base] {
		return forge.PullRequest{}, fault.Permf("no_commits_between", "422")
	}
	if f.openOf(r, in.Head) != nil {
		return forge.PullRequest{}, fmt.Errorf("%w (422)", forge.ErrExists)
	}
	n := len(r.Pulls) + 1
	p := &PullRequest{Repo: r.Name, Ours: ours, PullRequest: forge.PullRequest{
		Number: n, URL: fmt.Sprintf("https://forge/%s/pull/%d", r.Name, n), State: forge.Open, HeadRef: in.Head, HeadSHA: head, BaseRef: in.Base,
	}}
	r.Pulls = append(r.Pulls, p)
	return p.PullRequest, nil
}

// OpenAsPerson opens a pull request that is none of ours.
func (f *Forge) OpenAsPerson(r *Repo, head, base string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, _ = f.create(r, forge.NewPullRequest{Head: head, Base: base}, false) // refused: then there is none
}

// BranchHead is publisher.Forge's.
func (f *Forge) BranchHead(_ context.Context, owner, name, branch string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(owner, name)
	if err != nil {
		return "", err
	}
	head, ok := r.Branches[branch]
	if !ok {
		return "", forge.ErrNoBranch
	}
	return head, nil
}

// Repository is publisher.Forge's: none is a fork here.
func (f *Forge) Repository(_ context.Context, owner, name string) (forge.Repository, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.repo(owner, name)
	return forge.Repository{FullName: owner + "/" + name}, err
}

// Commit is publisher.Git's: the same input gives the same id.
func (f *Forge) Commit(_ context.Context, at origin.Place, c publisher.Commit) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.repo(at.Owner, at.Name); err != nil {
		return "", err
	}
	h := sha1.New() //nolint:gosec // as above
	fmt.Fprintf(h, "%s\n%d\n%s\n%s", c.Base, c.When.UnixNano(), c.Message, c.Diff)
	id := hex.EncodeToString(h.Sum(nil))
	f.commits[id] = c
	return id, nil
}

// Built returns a commit that was built, by its id.
func (f *Forge) Built(id string) (publisher.Commit, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.commits[id]
	return c, ok
}

// RemoteHead is publisher.Git's.
func (f *Forge) RemoteHead(_ context.Context, at origin.Place, branch string) (id string, exists bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(at.Owner, at.Name)
	if err != nil {
		return "", false, err
	}
	id, exists = r.Branches[branch]
	return id, exists, nil
}

// PushNew is publisher.Git's.
func (f *Forge) PushNew(_ context.Context, at origin.Place, commit, branch string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(at.Owner, at.Name)
	if err != nil {
		return err
	}
	old, exists := r.Branches[branch]
	if exists && f.off.On(guard.ForgeLease) {
		return publisher.ErrBranchMoved
	}
	if exists && old != commit {
		f.Bad("push of %.8s to %s overwrote %.8s, which is not ours", commit, branch, old)
	}
	r.Branches[branch] = commit
	return nil
}

// Repos lists the repositories by name.
func (f *Forge) Repos() map[string]*Repo { return f.repos }
