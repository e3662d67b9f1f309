package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
)

const maxStatuses = 1000

type repositoryInfo struct {
	ID              int64  `json:"id"`
	FullName        string `json:"full_name"`
	DefaultBranch   string `json:"default_branch"`
	Archived        bool   `json:"archived"`
	HasPullRequests bool   `json:"has_pull_requests"`
	Permissions     struct {
		Push bool `json:"push"`
	} `json:"permissions"`
	Parent struct {
		FullName string `json:"full_name"`
	} `json:"parent"`
}

func (c *Client) readRepository(ctx context.Context, owner, name string) (repositoryInfo, error) {
	path, err := repository(owner, name)
	if err != nil {
		return repositoryInfo{}, err
	}
	var got repositoryInfo
	_, err = c.api.Get(ctx, path, nil, &got)
	if reason, _ := fault.Reason(err); reason == "not_found" {
		err = fault.Perm("repository_not_found", err)
	}
	return got, err
}

// Repository says what the server knows about a repository and what our token may do there.
func (c *Client) Repository(ctx context.Context, owner, name string) (forge.Repository, error) {
	got, err := c.readRepository(ctx, owner, name)
	if err != nil {
		return forge.Repository{}, fmt.Errorf("read repository: %w", err)
	}
	return forge.Repository{
		ID: strconv.FormatInt(got.ID, 10), FullName: got.FullName, Parent: got.Parent.FullName, DefaultBranch: got.DefaultBranch,
		Archived: got.Archived, CanPush: got.Permissions.Push,
	}, nil
}

// BranchHead returns the commit that a branch points to, or forge.ErrNoBranch.
func (c *Client) BranchHead(ctx context.Context, owner, name, branch string) (string, error) {
	var got struct {
		Name   string `json:"name"`
		Commit struct {
			ID string `json:"id"`
		} `json:"commit"`
	}
	_, err := c.get(ctx, owner, name, forge.ErrNoBranch, nil, &got, "branches", branch)
	if err == nil && (got.Name != branch || got.Commit.ID == "") {
		err = forge.ErrNoBranch
	}
	if err != nil {
		return "", fmt.Errorf("read branch %s: %w", branch, err)
	}
	return got.Commit.ID, nil
}

// Permission says what a person may do. It is asked afresh each time. A server tells it only to a token whose account
// administers the repository.
func (c *Client) Permission(ctx context.Context, owner, name, login string) (forge.Permission, error) {
	if login == "" {
		return forge.NoPermission, nil
	}
	var got struct {
		Permission string `json:"permission"`
	}
	_, err := c.get(ctx, owner, name, errNobody, nil, &got, "collaborators", login, "permission")
	if errors.Is(err, errNobody) {
		return forge.NoPermission, nil
	}
	if err != nil {
		return forge.NoPermission, fmt.Errorf("read permission of %s: %w", login, err)
	}
	if got.Permission == "owner" {
		return forge.AdminPermission, nil
	}
	return forge.PermissionNamed(got.Permission), nil
}

var (
	errNobody   = errors.New("no such person")
	errNoCommit = errors.New("no such commit")
)

// CommitChecks puts together what Actions' jobs and other systems say about a commit, without our own: both are a
// commit's statuses, of each context the latest.
func (c *Client) CommitChecks(ctx context.Context, owner, name, commit string) (forge.Checks, error) {
	out := forge.ChecksNone
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for seen, page := 0, 1; seen < maxStatuses; page++ {
		query.Set("page", strconv.Itoa(page))
		var got struct {
			Statuses []status `json:"statuses"`
		}
		header, err := c.get(ctx, owner, name, errNoCommit, query, &got, "commits", commit, "status")
		if errors.Is(err, errNoCommit) {
			return forge.ChecksNone, nil
		}
		if err != nil {
			return forge.ChecksNone, fmt.Errorf("read status of %s: %w", commit, err)
		}
		for _, s := range got.Statuses {
			out = out.With(s.outcome())
		}
		if seen += len(got.Statuses); len(got.Statuses) == 0 || complete(header, seen) {
			break
		}
	}
	return out, nil
}

type status struct {
	Context string `json:"context"`
	Status  string `json:"status"`
}

func (s status) outcome() forge.Checks {
	if forge.Ours(s.Context) {
		return forge.ChecksNone
	}
	switch s.Status {
	case "success", "warning", "skipped":
		return forge.ChecksGreen
	case "failure", "error":
		return forge.ChecksRed
	}
	return forge.ChecksPending
}
