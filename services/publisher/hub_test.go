package publisher_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// hub is GitHub's client on the local forge, with what people and their CI say there set by the test: comments, other
// people's pull requests and their files, and the checks of a commit.
type hub struct {
	*github.Client
	mu       sync.Mutex
	comments []forge.Comment
	others   []forge.PullRequest
	files    map[int][]forge.FileChange
	checks   forge.Checks
	archived bool
	readOnly bool
	// say fails a comment: before it takes effect, or after.
	say   func() error
	after bool
	// looks fails every look at checks.
	looks error
}

func (h *hub) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own, err := h.Client.OpenPullRequests(ctx, owner, name)
	return append(own, h.others...), err
}

func (h *hub) FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, err := h.Client.FindPullRequests(ctx, owner, name, branch)
	for _, pr := range h.others {
		if pr.HeadRef == branch && !pr.FromFork {
			found = append(found, pr)
		}
	}
	return found, err
}

func (h *hub) ChangedFiles(_ context.Context, _, _ string, number int) ([]forge.FileChange, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.files[number], nil
}

func (h *hub) CommitChecks(context.Context, string, string, string) (forge.Checks, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.checks, h.looks
}

func (h *hub) Repository(ctx context.Context, owner, name string) (forge.Repository, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	got, err := h.Client.Repository(ctx, owner, name)
	got.Archived, got.CanPush = got.Archived || h.archived, got.CanPush && !h.readOnly
	return got, err
}

func (h *hub) Comments(context.Context, string, string, int) ([]forge.Comment, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]forge.Comment{}, h.comments...), nil
}

func (h *hub) Comment(_ context.Context, _, _ string, _ int, body string) (forge.Comment, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fails := h.say
	h.say = nil
	if fails != nil && !h.after {
		return forge.Comment{}, fails()
	}
	c := forge.Comment{ID: fmt.Sprint(len(h.comments) + 1), Author: "sre-agent", Body: body, At: time.Now()}
	h.comments = append(h.comments, c)
	if fails != nil {
		return forge.Comment{}, fails()
	}
	return c, nil
}

// at is every repository on one forge.
func (r *rig) at(f publisher.Forge) func(ci.Failure) (publisher.Target, error) {
	return func(failure ci.Failure) (publisher.Target, error) {
		repo := failure.Repository
		return publisher.Target{Forge: f, Place: origin.Place{
			Forge: origin.GitHub, Base: r.forge.URL(), Owner: repo.Owner, Name: repo.Name, GitURL: r.forge.URL() + "/" + repo.FullName() + ".git",
		}}, nil
	}
}
