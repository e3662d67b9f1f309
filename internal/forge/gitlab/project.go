package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
)

// Access levels (docs.gitlab.com/api/access_requests, "Valid access levels").
const (
	guest      = 10
	developer  = 30
	maintainer = 40
)

type projectInfo struct {
	ID                  int64  `json:"id"`
	Path                string `json:"path_with_namespace"`
	DefaultBranch       string `json:"default_branch"`
	Archived            bool   `json:"archived"`
	MergeRequestsAccess string `json:"merge_requests_access_level"`
	ForkedFrom          struct {
		Path string `json:"path_with_namespace"`
	} `json:"forked_from_project"`
	Permissions struct {
		Project *access `json:"project_access"`
		Group   *access `json:"group_access"`
	} `json:"permissions"`
}

type access struct {
	Level int `json:"access_level"`
}

func (p projectInfo) level() int {
	level := 0
	for _, a := range []*access{p.Permissions.Project, p.Permissions.Group} {
		if a != nil {
			level = max(level, a.Level)
		}
	}
	return level
}

func (c *Client) readProject(ctx context.Context, owner, name string) (projectInfo, error) {
	path, err := project(owner, name)
	if err != nil {
		return projectInfo{}, err
	}
	var got projectInfo
	_, err = c.api.Get(ctx, path, nil, &got)
	if reason, _ := fault.Reason(err); reason == "not_found" {
		err = fault.Perm("repository_not_found", err)
	}
	return got, err
}

var errNoMember = errors.New("no such member")

// Repository says what GitLab knows about a project and what our token may do there.
func (c *Client) Repository(ctx context.Context, owner, name string) (forge.Repository, error) {
	got, err := c.readProject(ctx, owner, name)
	if err != nil {
		return forge.Repository{}, fmt.Errorf("read project: %w", err)
	}
	return forge.Repository{
		ID: strconv.FormatInt(got.ID, 10), FullName: got.Path, Parent: got.ForkedFrom.Path, DefaultBranch: got.DefaultBranch,
		Archived: got.Archived, CanPush: got.level() >= developer,
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
	_, err := c.get(ctx, owner, name, forge.ErrNoBranch, nil, &got, "repository", "branches", branch)
	if err == nil && (got.Name != branch || got.Commit.ID == "") {
		err = forge.ErrNoBranch
	}
	if err != nil {
		return "", fmt.Errorf("read branch %s: %w", branch, err)
	}
	return got.Commit.ID, nil
}

// Permission says what a person may do, by membership of the project, of its groups or of groups that it is shared
// with. It is asked afresh each time.
func (c *Client) Permission(ctx context.Context, owner, name, login string) (forge.Permission, error) {
	if login == "" {
		return forge.NoPermission, nil
	}
	id, err := c.userID(ctx, owner, name, login)
	if err != nil || id == 0 {
		return forge.NoPermission, err
	}
	var got struct {
		State string `json:"state"`
		access
	}
	_, err = c.get(ctx, owner, name, errNoMember, nil, &got, "members", "all", strconv.FormatInt(id, 10))
	if errors.Is(err, errNoMember) || (err == nil && got.State != "active") {
		return forge.NoPermission, nil
	}
	if err != nil {
		return forge.NoPermission, fmt.Errorf("read membership of %s: %w", login, err)
	}
	return permission(got.Level), nil
}

func permission(level int) forge.Permission {
	switch {
	case level >= maintainer:
		return forge.AdminPermission
	case level >= developer:
		return forge.WritePermission
	case level >= guest:
		return forge.ReadPermission
	}
	return forge.NoPermission
}

// userID is 0 when nobody has the login.
func (c *Client) userID(ctx context.Context, owner, name, login string) (int64, error) {
	var users []struct {
		ID       int64  `json:"id"`
		Username string `json:"username"`
	}
	_, err := c.api.Get(ctx, "/users", url.Values{"username": {login}}, &users)
	if err != nil {
		return 0, fmt.Errorf("find user %s: %w", login, c.missing(ctx, owner, name, err, err))
	}
	for _, u := range users {
		if strings.EqualFold(u.Username, login) {
			return u.ID, nil
		}
	}
	return 0, nil
}
