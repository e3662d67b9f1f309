// Package bitbucket opens pull requests on Bitbucket Cloud by REST 2.0 (developer.atlassian.com/cloud/bitbucket/rest).
//
// A write is one request and is never repeated here: an error that is not permanent leaves open whether it took effect,
// and the caller looks before it writes again. A person is named by the account's UUID in braces, as nicknames are not
// unique.
package bitbucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/sending"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	pageSize  = 50 // the most that Bitbucket gives for pull requests
	maxItems  = 1000
	maxFiles  = 300
	headDelay = 5 * time.Second
)

// Client speaks for one token to one API.
type Client struct {
	api    *httpapi.Client
	sender *sending.Sender
}

// New returns a client for an API's root, such as https://api.bitbucket.org/2.0. A nil hc means one with sane timeouts.
func New(baseURL, token string, hc *http.Client) *Client {
	api := httpapi.New(httpapi.Options{BaseURL: baseURL, Token: token, Accept: "application/json", HTTP: hc})
	return &Client{api: api, sender: sending.New(api, hc)}
}

// list reads the pages below path until one is the last or most items are there.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, most int) ([]T, error) {
	if query == nil {
		query = url.Values{}
	}
	if query.Get("pagelen") == "" {
		query.Set("pagelen", strconv.Itoa(pageSize))
	}
	var out []T
	for page := 1; len(out) < most; page++ {
		query.Set("page", strconv.Itoa(page))
		var got struct {
			Values []T    `json:"values"`
			Next   string `json:"next"`
		}
		if _, err := c.api.Get(ctx, path, query, &got); err != nil {
			return nil, repositoryFault(err)
		}
		out = append(out, got.Values...)
		if got.Next == "" || len(got.Values) == 0 {
			break
		}
	}
	return out[:min(len(out), most)], nil
}

// quoted makes a string of Bitbucket's filter language.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// BranchHead returns the commit that a branch points to, or forge.ErrNoBranch.
func (c *Client) BranchHead(ctx context.Context, owner, name, branch string) (string, error) {
	path, err := httpapi.Path("repositories", owner, name, "refs", "branches")
	if err != nil {
		return "", fmt.Errorf("read branch: %w", err)
	}
	type ref struct {
		Name   string `json:"name"`
		Target struct {
			Hash string `json:"hash"`
		} `json:"target"`
	}
	// A filter on the list tells a missing branch from a missing repository, and takes a name with slashes as it is.
	refs, err := list[ref](ctx, c, path, url.Values{"q": {"name = " + quoted(branch)}}, pageSize)
	if err != nil {
		return "", fmt.Errorf("read branch %s: %w", branch, err)
	}
	for _, r := range refs {
		if r.Name == branch && r.Target.Hash != "" {
			return r.Target.Hash, nil
		}
	}
	return "", fmt.Errorf("read branch %s: %w", branch, forge.ErrNoBranch)
}

// Repository says what the forge knows about a repository. Bitbucket Cloud archives none.
func (c *Client) Repository(ctx context.Context, owner, name string) (forge.Repository, error) {
	path, err := httpapi.Path("repositories", owner, name)
	if err != nil {
		return forge.Repository{}, fmt.Errorf("read repository: %w", err)
	}
	var got struct {
		UUID       string `json:"uuid"`
		FullName   string `json:"full_name"`
		MainBranch *struct {
			Name string `json:"name"`
		} `json:"mainbranch"`
		Parent *struct {
			FullName string `json:"full_name"`
		} `json:"parent"`
	}
	header, err := c.api.Get(ctx, path, nil, &got)
	if err != nil {
		return forge.Repository{}, fmt.Errorf("read repository: %w", repositoryFault(err))
	}
	out := forge.Repository{ID: got.UUID, FullName: got.FullName, CanPush: canPush(header)}
	if got.MainBranch != nil {
		out.DefaultBranch = got.MainBranch.Name
	}
	if got.Parent != nil {
		out.Parent = got.Parent.FullName
	}
	return out, nil
}

// canPush reads the scopes that Bitbucket names with each answer. An answer without them says nothing, and the push
// itself will tell.
func canPush(h http.Header) bool {
	scopes := h.Get("X-OAuth-Scopes")
	if scopes == "" {
		return true
	}
	for scope := range strings.SplitSeq(scopes, ",") {
		switch strings.TrimSpace(scope) {
		case "repository:write", "pullrequest:write": // the second brings the first
			return true
		}
	}
	return false
}

// Permission says what the account with a UUID may do, by whatever way it has that right. Only a token with
// administration rights may ask; any other is "forbidden".
func (c *Client) Permission(ctx context.Context, owner, name, login string) (forge.Permission, error) {
	path, err := httpapi.Path("workspaces", owner, "permissions", "repositories", name)
	if err != nil {
		return forge.NoPermission, fmt.Errorf("read permission: %w", err)
	}
	type entry struct {
		Permission string `json:"permission"`
		User       struct {
			UUID string `json:"uuid"`
		} `json:"user"`
	}
	entries, err := list[entry](ctx, c, path, url.Values{"q": {"user.uuid = " + quoted(login)}}, pageSize)
	if err != nil {
		return forge.NoPermission, fmt.Errorf("read permission: %w", err)
	}
	for _, e := range entries {
		if e.User.UUID == login {
			return forge.PermissionNamed(e.Permission), nil
		}
	}
	return forge.NoPermission, nil
}

// CommitChecks sums up the build statuses of a commit.
func (c *Client) CommitChecks(ctx context.Context, owner, name, commit string) (forge.Checks, error) {
	path, err := httpapi.Path("repositories", owner, name, "commit", commit, "statuses")
	if err != nil {
		return forge.ChecksNone, fmt.Errorf("read checks: %w", err)
	}
	type status struct {
		Key   string `json:"key"`
		State string `json:"state"`
	}
	statuses, err := list[status](ctx, c, path, nil, maxItems)
	if err != nil {
		return forge.ChecksNone, fmt.Errorf("read checks of %s: %w", commit, err)
	}
	out := forge.ChecksNone
	for _, s := range statuses {
		switch {
		case forge.Ours(s.Key):
		case s.State == "FAILED" || s.State == "STOPPED":
			out = out.With(forge.ChecksRed)
		case s.State == "SUCCESSFUL":
			out = out.With(forge.ChecksGreen)
		default:
			out = out.With(forge.ChecksPending)
		}
	}
	return out, nil
}

// write is the one place that writes. What is refused of any write is "pull_request_rejected".
func (c *Client) write(ctx context.Context, method, path string, in, out any) error {
	return sending.Refused(c.sender.Send(ctx, method, path, in, out))
}

func repositoryFault(err error) error {
	if reason, ok := fault.Reason(err); ok && reason == "not_found" {
		return fault.Perm("repository_not_found", err)
	}
	return err
}

// createFault gives Bitbucket's refusals of a new pull request the names that callers branch on.
func createFault(err error) error {
	var se *httpapi.StatusError
	if !errors.As(err, &se) {
		return err
	}
	if se.Status == http.StatusNotFound {
		return fault.Perm("repository_not_found", se)
	}
	if reason, _ := fault.Reason(err); reason != "pull_request_rejected" {
		return err
	}
	for _, d := range append(se.Errors, httpapi.Detail{Message: se.Message}) {
		text := strings.ToLower(d.Field + ": " + d.Message)
		switch {
		case strings.Contains(text, "already exists"):
			return fmt.Errorf("%w (%w)", forge.ErrExists, se)
		case strings.Contains(text, "no changes to be pulled"):
			return fault.Perm("no_commits_between", se)
		case strings.Contains(text, "destination") && strings.Contains(text, "not found"):
			return fault.Perm("base_branch_missing", se)
		case strings.Contains(text, "source") && strings.Contains(text, "not found"):
			// The caller has just pushed it; the API may see a push a moment late.
			return &httpapi.RetryError{Op: se.Op, Status: se.Status, After: headDelay, Message: "the forge does not see the head branch yet"}
		}
	}
	return err
}
