package memforge

import (
	"context"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
)

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

// EditComment is publisher.Forge's.
func (f *Forge) EditComment(_ context.Context, owner, name string, number int, id, body string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.comments[fmt.Sprintf("%s/%s#%d", owner, name, number)]
	for i := range all {
		if all[i].ID == id {
			all[i].Body = body
			return nil
		}
	}
	return fmt.Errorf("no comment %s on %s/%s#%d", id, owner, name, number)
}

// AddLabels is publisher.Forge's: nobody looks at labels here.
func (f *Forge) AddLabels(context.Context, string, string, int, []string) error { return nil }

// CommitChecks is publisher.Forge's: nothing reports here.
func (f *Forge) CommitChecks(context.Context, string, string, string) (forge.Checks, error) {
	return forge.ChecksNone, nil
}

// OpenPullRequests is publisher.Forge's.
func (f *Forge) OpenPullRequests(_ context.Context, owner, name string) ([]forge.PullRequest, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.repo(owner, name)
	if err != nil {
		return nil, err
	}
	var out []forge.PullRequest
	for i := len(r.Pulls) - 1; i >= 0; i-- {
		if r.Pulls[i].State == forge.Open {
			out = append(out, f.see(r, r.Pulls[i]))
		}
	}
	return out, nil
}

// ChangedFiles is publisher.Forge's: people's pull requests change nothing of ours here.
func (f *Forge) ChangedFiles(context.Context, string, string, int) ([]forge.FileChange, error) {
	return nil, nil
}
