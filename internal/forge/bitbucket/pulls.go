package bitbucket

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

type pullRequest struct {
	ID     int    `json:"id"`
	State  string `json:"state"`
	Author *struct {
		UUID string `json:"uuid"`
	} `json:"author"`
	Source      endpoint `json:"source"`
	Destination endpoint `json:"destination"`
	MergeCommit *struct {
		Hash string `json:"hash"`
	} `json:"merge_commit"`
	Links struct {
		HTML struct {
			Href string `json:"href"`
		} `json:"html"`
	} `json:"links"`
}

type endpoint struct {
	Branch struct {
		Name string `json:"name"`
	} `json:"branch"`
	Commit *struct {
		Hash string `json:"hash"`
	} `json:"commit"`
	Repository *struct {
		UUID     string `json:"uuid"`
		FullName string `json:"full_name"`
	} `json:"repository"`
}

func (p pullRequest) public() forge.PullRequest {
	out := forge.PullRequest{
		Number: p.ID, URL: p.Links.HTML.Href, State: forge.Closed, Merged: p.State == "MERGED",
		HeadRef: p.Source.Branch.Name, BaseRef: p.Destination.Branch.Name, FromFork: p.fromFork(),
	}
	if p.State == "OPEN" {
		out.State = forge.Open
	}
	if p.Author != nil {
		out.Author = p.Author.UUID
	}
	if p.Source.Commit != nil {
		out.HeadSHA = p.Source.Commit.Hash
	}
	if p.MergeCommit != nil {
		out.MergeCommit = p.MergeCommit.Hash
	}
	return out
}

// fromFork says whether the head lives elsewhere; its repository is null when it was deleted.
func (p pullRequest) fromFork() bool {
	return p.Source.Repository == nil || p.Destination.Repository == nil || p.Source.Repository.UUID != p.Destination.Repository.UUID
}

// from says whether the head is of this repository itself, or, given an owner, of the repository by the same name that
// the owner has.
func (p pullRequest) from(fork, name string) bool {
	if fork == "" {
		return !p.fromFork()
	}
	return p.fromFork() && p.Source.Repository != nil && strings.EqualFold(p.Source.Repository.FullName, fork+"/"+name)
}

// FindPullRequests lists the pull requests, in every state, from a branch of this repository, or, given "owner:branch",
// of that owner's fork.
func (c *Client) FindPullRequests(ctx context.Context, owner, name, head string) ([]forge.PullRequest, error) {
	fork, branch := forge.SplitHead(head)
	path, err := httpapi.Path("repositories", owner, name, "pullrequests")
	if err != nil {
		return nil, fmt.Errorf("find pull requests: %w", err)
	}
	query := url.Values{
		"q": {"source.branch.name = " + quoted(branch)}, "state": {"OPEN", "MERGED", "DECLINED", "SUPERSEDED"}, "sort": {"-created_on"},
	}
	got, err := list[pullRequest](ctx, c, path, query, maxItems)
	if err != nil {
		return nil, fmt.Errorf("find pull requests of %s: %w", head, err)
	}
	var out []forge.PullRequest
	for _, p := range got {
		if p.Source.Branch.Name != branch || !p.from(fork, name) {
			continue
		}
		pr, err := c.whole(ctx, owner, name, p)
		if err != nil {
			return nil, fmt.Errorf("find pull requests of %s: %w", head, err)
		}
		out = append(out, pr)
	}
	return out, nil
}

// OpenPullRequests lists the open pull requests, newest first. Their commits have the 12 digits that Bitbucket lists.
func (c *Client) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	path, err := httpapi.Path("repositories", owner, name, "pullrequests")
	if err != nil {
		return nil, fmt.Errorf("list pull requests: %w", err)
	}
	got, err := list[pullRequest](ctx, c, path, url.Values{"state": {"OPEN"}, "sort": {"-created_on"}}, maxItems)
	if err != nil {
		return nil, fmt.Errorf("list pull requests: %w", err)
	}
	var out []forge.PullRequest
	for _, p := range got {
		out = append(out, p.public())
	}
	return out, nil
}

// PullRequest reads one pull request, or returns forge.ErrNoPullRequest.
func (c *Client) PullRequest(ctx context.Context, owner, name string, number int) (forge.PullRequest, error) {
	path, err := httpapi.Path("repositories", owner, name, "pullrequests", strconv.Itoa(number))
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("read pull request: %w", err)
	}
	var got pullRequest
	if _, err := c.api.Get(ctx, path, nil, &got); err != nil {
		return forge.PullRequest{}, fmt.Errorf("read pull request %d: %w", number, c.missing(ctx, owner, name, err))
	}
	pr, err := c.whole(ctx, owner, name, got)
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("read pull request %d: %w", number, err)
	}
	return pr, nil
}

// CreatePullRequest opens a pull request. It returns forge.ErrExists when Bitbucket says that one is there already.
func (c *Client) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	path, err := httpapi.Path("repositories", owner, name, "pullrequests")
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request: %w", err)
	}
	source := map[string]any{"branch": map[string]any{"name": pr.Head}}
	if pr.HeadOwner != "" {
		source["repository"] = map[string]any{"full_name": pr.HeadOwner + "/" + name}
	}
	in := map[string]any{
		"title": pr.Title, "description": pr.Body, "draft": pr.Draft, "source": source,
		"destination": map[string]any{"branch": map[string]any{"name": pr.Base}},
	}
	var got pullRequest
	if err := c.write(ctx, http.MethodPost, path, in, &got); err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request for %s: %w", pr.Head, createFault(err))
	}
	out, err := c.whole(ctx, owner, name, got)
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request for %s: %w", pr.Head, err)
	}
	return out, nil
}

// whole completes the commits of a pull request, of which Bitbucket gives the first 12 digits. A fork's head is looked up
// in the fork.
func (c *Client) whole(ctx context.Context, owner, name string, p pullRequest) (forge.PullRequest, error) {
	pr := p.public()
	headOwner, headName := owner, name
	if p.fromFork() && p.Source.Repository != nil {
		headOwner, headName, _ = strings.Cut(p.Source.Repository.FullName, "/")
	}
	for _, at := range []struct {
		owner, name string
		sha         *string
	}{{headOwner, headName, &pr.HeadSHA}, {owner, name, &pr.MergeCommit}} {
		sha := at.sha
		if *sha == "" || len(*sha) >= 40 {
			continue
		}
		path, err := httpapi.Path("repositories", at.owner, at.name, "commit", *sha)
		if err != nil {
			return pr, err
		}
		var got struct {
			Hash string `json:"hash"`
		}
		_, err = c.api.Get(ctx, path, nil, &got)
		if reason, ok := fault.Reason(err); ok && reason == "not_found" {
			continue // of a fork that the token may not see, or removed since
		}
		if err != nil {
			return pr, err
		}
		*sha = got.Hash
	}
	return pr, nil
}

// ClosePullRequest declines a pull request; one that is closed already is a success.
func (c *Client) ClosePullRequest(ctx context.Context, owner, name string, number int) error {
	path, err := httpapi.Path("repositories", owner, name, "pullrequests", strconv.Itoa(number), "decline")
	if err != nil {
		return fmt.Errorf("close pull request: %w", err)
	}
	var got pullRequest
	err = c.write(ctx, http.MethodPost, path, nil, &got)
	if reason, _ := fault.Reason(err); reason == "pull_request_rejected" {
		// A refusal and an earlier decline look alike; the pull request itself tells.
		if now, readErr := c.PullRequest(ctx, owner, name, number); readErr == nil && now.State == forge.Closed {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("close pull request %d: %w", number, c.missing(ctx, owner, name, err))
	}
	return nil
}

// AddLabels returns forge.ErrUnsupported: Bitbucket has no labels.
func (c *Client) AddLabels(context.Context, string, string, int, []string) error {
	return forge.ErrUnsupported
}

// ChangedFiles lists what a pull request changes, without its hunks.
func (c *Client) ChangedFiles(ctx context.Context, owner, name string, number int) ([]forge.FileChange, error) {
	path, err := httpapi.Path("repositories", owner, name, "pullrequests", strconv.Itoa(number), "diffstat")
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	type file struct {
		Path string `json:"path"`
	}
	type stat struct{ Old, New *file }
	got, err := list[stat](ctx, c, path, nil, maxFiles)
	if err != nil {
		return nil, fmt.Errorf("list files of pull request %d: %w", number, c.missing(ctx, owner, name, err))
	}
	var out []forge.FileChange
	for _, s := range got {
		switch {
		case s.New != nil:
			out = append(out, forge.FileChange{Path: s.New.Path})
		case s.Old != nil:
			out = append(out, forge.FileChange{Path: s.Old.Path})
		}
	}
	return out, nil
}

type comment struct {
	ID      int  `json:"id"`
	Deleted bool `json:"deleted"`
	Content struct {
		Raw string `json:"raw"`
	} `json:"content"`
	User *struct {
		UUID string `json:"uuid"`
	} `json:"user"`
	CreatedOn time.Time `json:"created_on"`
}

func (c comment) public() forge.Comment {
	out := forge.Comment{ID: strconv.Itoa(c.ID), Body: c.Content.Raw, At: c.CreatedOn}
	if c.User != nil {
		out.Author = c.User.UUID
	}
	return out
}

// Comments lists the comments of a pull request, oldest first.
func (c *Client) Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error) {
	path, err := httpapi.Path("repositories", owner, name, "pullrequests", strconv.Itoa(number), "comments")
	if err != nil {
		return nil, fmt.Errorf("list comments: %w", err)
	}
	got, err := list[comment](ctx, c, path, url.Values{"sort": {"created_on"}}, maxItems)
	if err != nil {
		return nil, fmt.Errorf("list comments of pull request %d: %w", number, c.missing(ctx, owner, name, err))
	}
	var out []forge.Comment
	for _, one := range got {
		if !one.Deleted {
			out = append(out, one.public())
		}
	}
	return out, nil
}

// Comment adds a comment to a pull request.
func (c *Client) Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error) {
	path, err := httpapi.Path("repositories", owner, name, "pullrequests", strconv.Itoa(number), "comments")
	if err != nil {
		return forge.Comment{}, fmt.Errorf("comment: %w", err)
	}
	var got comment
	if err := c.write(ctx, http.MethodPost, path, content(body), &got); err != nil {
		return forge.Comment{}, fmt.Errorf("comment on pull request %d: %w", number, c.missing(ctx, owner, name, err))
	}
	return got.public(), nil
}

// EditComment replaces the text of a comment.
func (c *Client) EditComment(ctx context.Context, owner, name string, number int, id, body string) error {
	path, err := httpapi.Path("repositories", owner, name, "pullrequests", strconv.Itoa(number), "comments", id)
	if err != nil {
		return fmt.Errorf("edit comment: %w", err)
	}
	var got comment
	if err := c.write(ctx, http.MethodPut, path, content(body), &got); err != nil {
		return fmt.Errorf("edit comment %s: %w", id, c.missing(ctx, owner, name, err))
	}
	return nil
}

func content(body string) map[string]any {
	return map[string]any{"content": map[string]any{"raw": body}}
}

// missing tells a missing pull request from a missing repository, which are both 404.
func (c *Client) missing(ctx context.Context, owner, name string, err error) error {
	reason, ok := fault.Reason(err)
	if !ok || (reason != "not_found" && reason != "repository_not_found") {
		return err
	}
	if _, repoErr := c.Repository(ctx, owner, name); repoErr != nil {
		return repoErr
	}
	return forge.ErrNoPullRequest
}
