package github

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	maxFound = 5000
	maxOpen  = 1000
	maxFiles = 300
)

type pullRequest struct {
	Number         int     `json:"number"`
	HTMLURL        string  `json:"html_url"`
	State          string  `json:"state"`
	MergedAt       *string `json:"merged_at"`
	MergeCommitSHA string  `json:"merge_commit_sha"`
	Mergeable      *bool   `json:"mergeable"` // null while GitHub works it out
	Head           ref     `json:"head"`
	Base           ref     `json:"base"`
	User           user    `json:"user"`
	Labels         []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

type user struct {
	Login string `json:"login"`
}

type ref struct {
	Label string `json:"label"` // owner:branch
	Ref   string `json:"ref"`
	SHA   string `json:"sha"`
	Repo  *struct {
		ID int64 `json:"id"`
	} `json:"repo"`
}

func (p pullRequest) public() forge.PullRequest {
	out := forge.PullRequest{
		Number: p.Number, URL: p.HTMLURL, State: p.State, Merged: p.MergedAt != nil,
		HeadRef: p.Head.Ref, HeadSHA: p.Head.SHA, BaseRef: p.Base.Ref, FromFork: p.fromFork(), Author: p.User.Login,
		Conflicts: p.State == forge.Open && p.Mergeable != nil && !*p.Mergeable,
	}
	for _, l := range p.Labels {
		out.Labels = append(out.Labels, l.Name)
	}
	if out.Merged { // of an open one it is the commit of a merge that was only tried
		out.MergeCommit = p.MergeCommitSHA
	}
	return out
}

// fromFork says whether the head lives elsewhere; the head repository is absent when it was deleted.
func (p pullRequest) fromFork() bool {
	return p.Head.Repo == nil || p.Base.Repo == nil || p.Head.Repo.ID != p.Base.Repo.ID
}

// FindPullRequests lists the pull requests, in every state, from a branch of this repository, or, given "owner:branch",
// of that owner's fork.
func (c *Client) FindPullRequests(ctx context.Context, owner, name, head string) ([]forge.PullRequest, error) {
	fork, branch := forge.SplitHead(head)
	label := cmp.Or(fork, owner) + ":" + branch
	found, err := c.list(ctx, owner, name, url.Values{"head": {label}, "state": {"all"}}, maxFound)
	if err != nil {
		return nil, fmt.Errorf("find pull requests of %s: %w", head, err)
	}
	if len(found) == maxFound {
		return nil, fault.Permf("too_many_pull_requests", "find pull requests of %s: %d or more", head, maxFound)
	}
	var out []forge.PullRequest
	for _, p := range found {
		// GitHub ignores a head filter that it can't read and lists everything, so look again.
		if p.Head.Ref == branch && p.fromFork() == (fork != "") && (fork == "" || strings.EqualFold(p.Head.Label, label)) {
			out = append(out, p.public())
		}
	}
	return out, nil
}

// OpenPullRequests lists the open pull requests, the newest first and at most 1,000, those from forks too.
func (c *Client) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	query := url.Values{"state": {"open"}, "sort": {"created"}, "direction": {"desc"}}
	open, err := c.list(ctx, owner, name, query, maxOpen)
	if err != nil {
		return nil, fmt.Errorf("list open pull requests: %w", err)
	}
	var out []forge.PullRequest
	for _, p := range open {
		out = append(out, p.public())
	}
	return out, nil
}

func (c *Client) list(ctx context.Context, owner, name string, query url.Values, most int) ([]pullRequest, error) {
	path, err := httpapi.Path("repos", owner, name, "pulls")
	if err != nil {
		return nil, err
	}
	found, err := list(ctx, c, owner, name, path, query, most, all[pullRequest])
	return found, repositoryFault(err)
}

// PullRequest reads one, or returns forge.ErrNoPullRequest.
func (c *Client) PullRequest(ctx context.Context, owner, name string, n int) (forge.PullRequest, error) {
	path, err := httpapi.Path("repos", owner, name, "pulls", number(n))
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("read pull request: %w", err)
	}
	var got pullRequest
	if _, err := c.get(ctx, owner, name, path, nil, &got); err != nil {
		return forge.PullRequest{}, fmt.Errorf("read pull request %d: %w", n, c.missing(ctx, owner, name, err, forge.ErrNoPullRequest))
	}
	return got.public(), nil
}

// CreatePullRequest opens a pull request. It returns forge.ErrExists when an open one is there already.
func (c *Client) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	path, err := httpapi.Path("repos", owner, name, "pulls")
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request: %w", err)
	}
	head := pr.Head
	if pr.HeadOwner != "" {
		head = pr.HeadOwner + ":" + head
	}
	in := map[string]any{"title": pr.Title, "head": head, "base": pr.Base, "body": pr.Body, "draft": pr.Draft}
	var got pullRequest
	if err := c.write(ctx, owner, name, http.MethodPost, path, in, &got); err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request for %s: %w", pr.Head, createFault(err))
	}
	return got.public(), nil
}

// ClosePullRequest closes one without merging it; one that is closed or merged already stays as it is.
func (c *Client) ClosePullRequest(ctx context.Context, owner, name string, n int) error {
	path, err := httpapi.Path("repos", owner, name, "pulls", number(n))
	if err != nil {
		return fmt.Errorf("close pull request: %w", err)
	}
	var got pullRequest
	if err := c.write(ctx, owner, name, http.MethodPatch, path, map[string]any{"state": forge.Closed}, &got); err != nil {
		return fmt.Errorf("close pull request %d: %w", n, c.missing(ctx, owner, name, writeFault(err), forge.ErrNoPullRequest))
	}
	return nil
}

// ChangedFiles lists at most 300 of the files that a pull request changes.
func (c *Client) ChangedFiles(ctx context.Context, owner, name string, n int) ([]forge.FileChange, error) {
	path, err := httpapi.Path("repos", owner, name, "pulls", number(n), "files")
	if err != nil {
		return nil, fmt.Errorf("list changed files: %w", err)
	}
	type file struct {
		Filename string `json:"filename"`
		Patch    string `json:"patch"` // absent for binary and very large files
	}
	files, err := list(ctx, c, owner, name, path, nil, maxFiles, all[file])
	if err != nil {
		return nil, fmt.Errorf("list changed files of pull request %d: %w", n, c.missing(ctx, owner, name, err, forge.ErrNoPullRequest))
	}
	var out []forge.FileChange
	for _, f := range files {
		out = append(out, forge.FileChange{Path: f.Filename, Hunks: f.Patch})
	}
	return out, nil
}
