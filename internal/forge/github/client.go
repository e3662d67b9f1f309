// Package github opens pull requests on GitHub or GitHub Enterprise Server by REST.
//
// Each call is one request (a list: one a page) and is never repeated here: an error that is not permanent
// leaves open whether a write took effect, and the caller looks before it writes again.
package github

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
	apiVersion = "2022-11-28"
	pageSize   = 100
	maxPages   = 50
	headDelay  = 5 * time.Second
)

// Client speaks for one token to one API.
type Client struct {
	api    *httpapi.Client
	sender *sending.Sender
}

// New returns a client. A nil hc means one with sane timeouts.
func New(baseURL, token string, hc *http.Client) *Client {
	api := httpapi.New(httpapi.Options{BaseURL: baseURL, Token: token, Version: apiVersion, HTTP: hc})
	return &Client{api: api, sender: sending.New(api, hc)}
}

type pullRequest struct {
	Number   int     `json:"number"`
	HTMLURL  string  `json:"html_url"`
	State    string  `json:"state"`
	MergedAt *string `json:"merged_at"`
	Head     ref     `json:"head"`
	Base     ref     `json:"base"`
}

type ref struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo *struct {
		ID int64 `json:"id"`
	} `json:"repo"`
}

func (p pullRequest) public() forge.PullRequest {
	return forge.PullRequest{
		Number: p.Number, URL: p.HTMLURL, State: p.State, Merged: p.MergedAt != nil,
		HeadRef: p.Head.Ref, HeadSHA: p.Head.SHA, BaseRef: p.Base.Ref,
	}
}

// fromFork says whether the head lives elsewhere; the head repository is absent when it was deleted.
func (p pullRequest) fromFork() bool {
	return p.Head.Repo == nil || p.Base.Repo == nil || p.Head.Repo.ID != p.Base.Repo.ID
}

// FindPullRequests lists the pull requests, in every state, from a branch of this repository.
func (c *Client) FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	path, err := httpapi.Path("repos", owner, name, "pulls")
	if err != nil {
		return nil, fmt.Errorf("find pull requests: %w", err)
	}
	query := url.Values{"head": {owner + ":" + branch}, "state": {"all"}, "per_page": {strconv.Itoa(pageSize)}}
	var out []forge.PullRequest
	for page := 1; page <= maxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var got []pullRequest
		header, err := c.api.Get(ctx, path, query, &got)
		if err != nil {
			return nil, fmt.Errorf("find pull requests of %s: %w", branch, repositoryFault(err))
		}
		for _, p := range got {
			// GitHub ignores a head filter that it can't read and lists everything, so look again.
			if p.Head.Ref == branch && !p.fromFork() {
				out = append(out, p.public())
			}
		}
		if !httpapi.HasNext(header) && len(got) < pageSize {
			return out, nil
		}
	}
	return nil, fault.Permf("too_many_pull_requests", "find pull requests of %s: more than %d pages", branch, maxPages)
}

// CreatePullRequest opens a pull request between two branches of one repository. It returns forge.ErrExists
// when an open one is there already.
func (c *Client) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	path, err := httpapi.Path("repos", owner, name, "pulls")
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request: %w", err)
	}
	in := map[string]any{"title": pr.Title, "head": pr.Head, "base": pr.Base, "body": pr.Body, "draft": pr.Draft}
	var got pullRequest
	if err := c.sender.Send(ctx, http.MethodPost, path, in, &got); err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request for %s: %w", pr.Head, createFault(err))
	}
	return got.public(), nil
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
	_, err = c.api.Get(ctx, path, nil, &got)
	if reason, ok := fault.Reason(err); ok && reason == "not_found" {
		// A missing repository and a missing branch are both 404; ask, instead of trusting a message.
		if _, err := c.Repository(ctx, owner, name); err != nil {
			return "", fmt.Errorf("read branch %s: %w", branch, err)
		}
		return "", fmt.Errorf("read branch %s: %w", branch, forge.ErrNoBranch)
	}
	if err != nil {
		return "", fmt.Errorf("read branch %s: %w", branch, err)
	}
	// After a rename GitHub redirects the old name to the new branch, which is not the one asked for.
	if got.Name != branch || got.Commit.SHA == "" {
		return "", fmt.Errorf("read branch %s: %w", branch, forge.ErrNoBranch)
	}
	return got.Commit.SHA, nil
}

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
	}
	if _, err := c.api.Get(ctx, path, nil, &got); err != nil {
		return forge.Repository{}, fmt.Errorf("read repository: %w", repositoryFault(err))
	}
	return forge.Repository{
		ID: strconv.FormatInt(got.ID, 10), FullName: got.FullName, DefaultBranch: got.DefaultBranch,
		Archived: got.Archived, CanPush: got.Permissions.Push,
	}, nil
}

func repositoryFault(err error) error {
	if reason, ok := fault.Reason(err); ok && reason == "not_found" {
		return fault.Perm("repository_not_found", err)
	}
	return err
}

// createFault gives GitHub's refusals of a new pull request the names that callers branch on.
func createFault(err error) error {
	var se *httpapi.StatusError
	if !errors.As(err, &se) {
		return err
	}
	switch se.Status {
	case http.StatusNotFound:
		return fault.Perm("repository_not_found", err)
	case http.StatusForbidden:
		if strings.Contains(strings.ToLower(se.Message), "archived") {
			return fault.Perm("repository_archived", err)
		}
	case http.StatusUnprocessableEntity:
		return refusal(se, err)
	}
	return err
}

func refusal(se *httpapi.StatusError, err error) error {
	for _, d := range append(se.Errors, httpapi.Detail{Message: se.Message}) {
		text := strings.ToLower(d.Message)
		switch {
		case strings.Contains(text, "a pull request already exists"):
			return fmt.Errorf("%w (%w)", forge.ErrExists, se)
		case strings.Contains(text, "no commits between"):
			return fault.Perm("no_commits_between", err)
		case d.Field == "base" && (d.Code == "invalid" || strings.HasPrefix(d.Code, "missing")):
			return fault.Perm("base_branch_missing", err)
		case d.Field == "head" && (d.Code == "invalid" || strings.HasPrefix(d.Code, "missing")):
			// The caller has just pushed it: GitHub's API now and then sees a push a moment late.
			return &httpapi.RetryError{Op: se.Op, Status: se.Status, After: headDelay, Message: "the forge does not see the head branch yet"}
		}
	}
	return fault.Perm("pull_request_rejected", err)
}
