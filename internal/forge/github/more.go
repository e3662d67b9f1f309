package github

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// What the publisher asks beside finding and creating. The whole of the contract is on its way from elsewhere and takes
// this file's place.

// list reads every page of a list, at most most items.
func list[T any](ctx context.Context, c *Client, most int, query url.Values, segments ...string) ([]T, error) {
	path, err := httpapi.Path(segments...)
	if err != nil {
		return nil, err
	}
	if query == nil {
		query = url.Values{}
	}
	query.Set("per_page", strconv.Itoa(pageSize))
	var out []T
	for page := 1; len(out) < most; page++ {
		query.Set("page", strconv.Itoa(page))
		var got []T
		header, err := c.api.Get(ctx, path, query, &got)
		if err != nil {
			return nil, repositoryFault(err)
		}
		out = append(out, got...)
		if !httpapi.HasNext(header) && len(got) < pageSize {
			break
		}
	}
	return out[:min(len(out), most)], nil
}

// OpenPullRequests lists the open pull requests, newest first.
func (c *Client) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	got, err := list[pullRequest](ctx, c, 1000, url.Values{"state": {"open"}}, "repos", owner, name, "pulls")
	if err != nil {
		return nil, fmt.Errorf("list open pull requests: %w", err)
	}
	out := make([]forge.PullRequest, 0, len(got))
	for _, p := range got {
		pr := p.public()
		pr.FromFork = p.fromFork()
		out = append(out, pr)
	}
	return out, nil
}

// ChangedFiles lists the files that a pull request changes.
func (c *Client) ChangedFiles(ctx context.Context, owner, name string, number int) ([]forge.FileChange, error) {
	type file struct {
		Filename string `json:"filename"`
		Patch    string `json:"patch"`
	}
	got, err := list[file](ctx, c, 300, nil, "repos", owner, name, "pulls", strconv.Itoa(number), "files")
	if err != nil {
		return nil, fmt.Errorf("files of pull request %d: %w", number, err)
	}
	out := make([]forge.FileChange, 0, len(got))
	for _, f := range got {
		out = append(out, forge.FileChange{Path: f.Filename, Hunks: f.Patch})
	}
	return out, nil
}

type comment struct {
	ID   int64  `json:"id"`
	Body string `json:"body"`
	User *struct {
		Login string `json:"login"`
	} `json:"user"`
	CreatedAt time.Time `json:"created_at"`
}

func (c comment) public() forge.Comment {
	out := forge.Comment{ID: strconv.FormatInt(c.ID, 10), Body: c.Body, At: c.CreatedAt}
	if c.User != nil {
		out.Author = c.User.Login
	}
	return out
}

// Comments lists the comments of a pull request, oldest first.
func (c *Client) Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error) {
	got, err := list[comment](ctx, c, 1000, nil, "repos", owner, name, "issues", strconv.Itoa(number), "comments")
	if err != nil {
		return nil, fmt.Errorf("comments of pull request %d: %w", number, err)
	}
	out := make([]forge.Comment, 0, len(got))
	for _, g := range got {
		out = append(out, g.public())
	}
	return out, nil
}

// Comment writes a comment on a pull request.
func (c *Client) Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error) {
	path, err := httpapi.Path("repos", owner, name, "issues", strconv.Itoa(number), "comments")
	if err != nil {
		return forge.Comment{}, err
	}
	var got comment
	if err := c.post(ctx, path, map[string]any{"body": body}, &got); err != nil {
		return forge.Comment{}, fmt.Errorf("comment on pull request %d: %w", number, createFault(err))
	}
	return got.public(), nil
}

// CommitChecks says what a commit's checks and statuses say together.
func (c *Client) CommitChecks(ctx context.Context, owner, name, commit string) (forge.Checks, error) {
	runs, err := httpapi.Path("repos", owner, name, "commits", commit, "check-runs")
	if err != nil {
		return forge.ChecksNone, err
	}
	var got struct {
		CheckRuns []struct {
			Status     string `json:"status"`
			Conclusion string `json:"conclusion"`
		} `json:"check_runs"`
	}
	if _, err := c.api.Get(ctx, runs, url.Values{"per_page": {"100"}}, &got); err != nil {
		return forge.ChecksNone, fmt.Errorf("checks of %.12s: %w", commit, repositoryFault(err))
	}
	pending, green := false, false
	for _, r := range got.CheckRuns {
		switch {
		case r.Status != "completed":
			pending = true
		case r.Conclusion == "success" || r.Conclusion == "neutral" || r.Conclusion == "skipped":
			green = true
		default:
			return forge.ChecksRed, nil
		}
	}
	switch {
	case pending:
		return forge.ChecksPending, nil
	case green:
		return forge.ChecksGreen, nil
	}
	return forge.ChecksNone, nil
}
