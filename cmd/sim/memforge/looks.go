package memforge

import (
	"context"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
)

// OpenPullRequests is publisher.Forge's: newest first.
func (f *Forge) OpenPullRequests(_ context.Context, owner, name string) ([]forge.PullRequest, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(owner, name)
	if err != nil {
		return nil, err
	}
	var out []forge.PullRequest
	for i := len(r.Pulls) - 1; i >= 0; i-- {
		if p := r.Pulls[i]; p.State == forge.Open {
			out = append(out, f.see(r, p))
		}
	}
	return out, nil
}

// ChangedFiles is publisher.Forge's: nobody's change is known line by line here.
func (f *Forge) ChangedFiles(context.Context, string, string, int) ([]forge.FileChange, error) {
	return nil, nil
}

// CommitChecks is publisher.Forge's: what failed is not green by itself.
func (f *Forge) CommitChecks(context.Context, string, string, string) (forge.Checks, error) {
	return forge.ChecksRed, nil
}

// Repository is publisher.Forge's.
func (f *Forge) Repository(_ context.Context, owner, name string) (forge.Repository, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.repo(owner, name); err != nil {
		return forge.Repository{}, err
	}
	return forge.Repository{FullName: owner + "/" + name, DefaultBranch: "main", CanPush: true}, nil
}

// Comments is publisher.Forge's.
func (f *Forge) Comments(_ context.Context, owner, name string, number int) ([]forge.Comment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.comments[fmt.Sprintf("%s/%s#%d", owner, name, number)], nil
}

// Comment is publisher.Forge's.
func (f *Forge) Comment(_ context.Context, owner, name string, number int, body string) (forge.Comment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := fmt.Sprintf("%s/%s#%d", owner, name, number)
	c := forge.Comment{ID: fmt.Sprint(len(f.comments[at]) + 1), Author: "sre-agent", Body: body, At: time.Now()}
	f.comments[at] = append(f.comments[at], c)
	return c, nil
}

// Settings is publisher.Git's: no repository has any here.
func (f *Forge) Settings(_ context.Context, at origin.Place, _ string) (*repoconfig.Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.repo(at.Owner, at.Name); err != nil {
		return nil, err
	}
	return repoconfig.Default(), nil
}
