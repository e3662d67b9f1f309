package github

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// Repository says what the forge knows about a repository and what our token may do there.
func (c *Client) Repository(ctx context.Context, owner, name string) (forge.Repository, error) {
	path, err := httpapi.Path("repos", owner, name)
	if err != nil {
		return forge.Repository{}, fmt.Errorf("read repository: %w", err)
	}
	var got struct {
		ID            int64  `json:"id"`
		FullName      string `json:"full_name"`
		DefaultBranch string `json:"default_branch"`
		Archived      bool   `json:"archived"`
		Permissions   struct {
			Push bool `json:"push"`
		} `json:"permissions"`
		Parent struct {
			FullName string `json:"full_name"`
		} `json:"parent"`
	}
	if _, err := c.get(ctx, owner, name, path, nil, &got); err != nil {
		return forge.Repository{}, fmt.Errorf("read repository: %w", repositoryFault(err))
	}
	return forge.Repository{
		ID: strconv.FormatInt(got.ID, 10), FullName: got.FullName, Parent: got.Parent.FullName, DefaultBranch: got.DefaultBranch,
		Archived: got.Archived, CanPush: got.Permissions.Push || c.pushes,
	}, nil
}

// BranchHead returns the commit that a branch points to, or forge.ErrNoBranch.
func (c *Client) BranchHead(ctx context.Context, owner, name, branch string) (string, error) {
	path, err := httpapi.Path("repos", owner, name, "branches", branch)
	if err != nil {
		return "", fmt.Errorf("read branch: %w", err)
	}
	var got struct {
		Name   string `json:"name"`
		Commit struct {
			SHA string `json:"sha"`
		} `json:"commit"`
	}
	if _, err := c.get(ctx, owner, name, path, nil, &got); err != nil {
		return "", fmt.Errorf("read branch %s: %w", branch, c.missing(ctx, owner, name, err, forge.ErrNoBranch))
	}
	// After a rename GitHub redirects the old name to the new branch, which is not the one asked for.
	if got.Name != branch || got.Commit.SHA == "" {
		return "", fmt.Errorf("read branch %s: %w", branch, forge.ErrNoBranch)
	}
	return got.Commit.SHA, nil
}

// Permission says what a person may do in a repository. Whom GitHub does not know may do nothing.
func (c *Client) Permission(ctx context.Context, owner, name, login string) (forge.Permission, error) {
	path, err := httpapi.Path("repos", owner, name, "collaborators", login, "permission")
	if err != nil {
		return forge.NoPermission, fmt.Errorf("read permission: %w", err)
	}
	var got struct {
		// Permission maps maintain to write and triage to read (docs.github.com/rest, "Get repository permissions for a user").
		Permission string `json:"permission"`
	}
	_, err = c.get(ctx, owner, name, path, nil, &got)
	if notFound(err) {
		if err = c.missing(ctx, owner, name, err, nil); err == nil {
			return forge.NoPermission, nil
		}
	}
	if err != nil {
		return forge.NoPermission, fmt.Errorf("read permission of %s: %w", login, err)
	}
	return forge.PermissionNamed(got.Permission), nil
}
