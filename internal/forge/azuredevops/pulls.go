package azuredevops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// maxDescription is what a description may have, in UTF-16 units (learn.microsoft.com, "Pull Requests - Update").
const maxDescription = 4000

type commitRef struct {
	CommitID string `json:"commitId"`
}

type pullRequest struct {
	ID         int        `json:"pullRequestId"`
	Status     string     `json:"status"`
	Source     string     `json:"sourceRefName"`
	Target     string     `json:"targetRefName"`
	Merge      string     `json:"mergeStatus"`
	CreatedBy  person     `json:"createdBy"`
	Repository repository `json:"repository"`
	ForkSource *struct {
		Repository repository `json:"repository"`
	} `json:"forkSource"`
	LastMergeSourceCommit commitRef `json:"lastMergeSourceCommit"`
	LastMergeCommit       commitRef `json:"lastMergeCommit"`
	Labels                []struct {
		Name   string `json:"name"`
		Active bool   `json:"active"`
	} `json:"labels"`
}

type person struct {
	ID         string `json:"id"`
	UniqueName string `json:"uniqueName"`
}

func (p person) login() string {
	if p.UniqueName != "" {
		return p.UniqueName
	}
	return p.ID
}

func (c *Client) public(p pullRequest) forge.PullRequest {
	out := forge.PullRequest{
		Number: p.ID, State: forge.Closed, Merged: p.Status == "completed",
		HeadRef: strings.TrimPrefix(p.Source, heads), BaseRef: strings.TrimPrefix(p.Target, heads),
		HeadSHA: p.LastMergeSourceCommit.CommitID, FromFork: p.ForkSource != nil, Author: p.CreatedBy.login(),
		Conflicts: p.Merge == "conflicts",
	}
	// The answer's own url is the API's; people's is made of its parts.
	if page, err := httpapi.Path(p.Repository.Project.Name, "_git", p.Repository.Name, "pullrequest", strconv.Itoa(p.ID)); err == nil {
		out.URL = c.root + page
	}
	if p.Status == "active" {
		out.State = forge.Open
	}
	if out.Merged {
		out.MergeCommit = p.LastMergeCommit.CommitID
	}
	for _, l := range p.Labels {
		if l.Active {
			out.Labels = append(out.Labels, l.Name)
		}
	}
	return out
}

// list reads the pages of a repository's pull requests, newest first.
func (c *Client) list(ctx context.Context, owner, name string, query url.Values) ([]pullRequest, error) {
	p, err := path(owner, name, "pullrequests")
	if err != nil {
		return nil, err
	}
	query.Set("$top", strconv.Itoa(pageSize))
	var out []pullRequest
	for len(out) < maxItems {
		query.Set("$skip", strconv.Itoa(len(out)))
		var got struct {
			Value []pullRequest `json:"value"`
		}
		if _, err := c.api.Get(ctx, p, versioned(query, apiVersion), &got); err != nil {
			return nil, repositoryFault(err)
		}
		out = append(out, got.Value...)
		if len(got.Value) < pageSize {
			return out, nil
		}
	}
	return out[:maxItems], nil
}

// FindPullRequests lists the pull requests, in every state, from a branch of this repository, or, given "project:branch",
// of the fork by the same name that is in that project. A fork that is not there has none.
func (c *Client) FindPullRequests(ctx context.Context, owner, name, head string) ([]forge.PullRequest, error) {
	fork, branch := forge.SplitHead(head)
	query := url.Values{"searchCriteria.sourceRefName": {heads + branch}, "searchCriteria.status": {"all"}}
	var from repository
	if fork != "" {
		var err error
		from, err = c.repository(ctx, fork, name)
		if reason, _ := fault.Reason(err); reason == "repository_not_found" {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("find pull requests of %s: %w", head, err)
		}
		query.Set("searchCriteria.sourceRepositoryId", from.ID)
	}
	got, err := c.list(ctx, owner, name, query)
	if err != nil {
		return nil, fmt.Errorf("find pull requests of %s: %w", head, err)
	}
	var out []forge.PullRequest
	for _, p := range got {
		if p.Source == heads+branch && p.from(from.ID) {
			out = append(out, c.public(p))
		}
	}
	return out, nil
}

// from says whether the head is of the fork with an id, or, without one, of the repository itself.
func (p pullRequest) from(fork string) bool {
	if p.ForkSource == nil {
		return fork == ""
	}
	return fork != "" && p.ForkSource.Repository.ID == fork
}

// OpenPullRequests lists the open pull requests, newest first, those of forks too.
func (c *Client) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	got, err := c.list(ctx, owner, name, url.Values{"searchCriteria.status": {"active"}})
	if err != nil {
		return nil, fmt.Errorf("list pull requests: %w", err)
	}
	var out []forge.PullRequest
	for _, p := range got {
		out = append(out, c.public(p))
	}
	return out, nil
}

// PullRequest reads one pull request, or returns forge.ErrNoPullRequest.
func (c *Client) PullRequest(ctx context.Context, owner, name string, number int) (forge.PullRequest, error) {
	p, err := path(owner, name, "pullrequests", strconv.Itoa(number))
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("read pull request: %w", err)
	}
	var got pullRequest
	if _, err := c.api.Get(ctx, p, versioned(nil, apiVersion), &got); err != nil {
		return forge.PullRequest{}, fmt.Errorf("read pull request %d: %w", number, c.missing(ctx, owner, name, err))
	}
	return c.public(got), nil
}

// CreatePullRequest opens a pull request, with the description cut to what Azure DevOps takes. It returns forge.ErrExists
// when an open one is there already. A fork is named by its project, and has the repository's name.
func (c *Client) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	p, err := path(owner, name, "pullrequests")
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request: %w", err)
	}
	in := map[string]any{
		"title": pr.Title, "description": fit(pr.Body), "isDraft": pr.Draft,
		"sourceRefName": heads + pr.Head, "targetRefName": heads + pr.Base,
	}
	if pr.HeadOwner != "" {
		fork, err := c.repository(ctx, pr.HeadOwner, name)
		if err != nil {
			return forge.PullRequest{}, fmt.Errorf("create pull request from a fork: %w", err)
		}
		in["forkSource"] = map[string]any{"name": heads + pr.Head, "repository": map[string]any{"id": fork.ID}}
	}
	var got pullRequest
	if err := c.write(ctx, http.MethodPost, p, in, &got); err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request for %s: %w", pr.Head, c.createFault(ctx, owner, name, pr, err))
	}
	return c.public(got), nil
}

// fit cuts a description between two lines, and keeps the last line, which has the marker.
func fit(body string) string {
	if len(utf16.Encode([]rune(body))) <= maxDescription {
		return body
	}
	lines := strings.Split(strings.TrimRight(body, "\n"), "\n")
	last := "\n…\n" + lines[len(lines)-1]
	room := maxDescription - len(utf16.Encode([]rune(last))) - len("\n```")
	if room < 0 {
		return string(utf16.Decode(utf16.Encode([]rune(body))[:maxDescription]))
	}
	kept, open := "", false
	for _, line := range lines[:len(lines)-1] {
		if room -= len(utf16.Encode([]rune(line))) + 1; room < 0 {
			break
		}
		kept += line + "\n"
		if strings.HasPrefix(line, "```") {
			open = !open
		}
	}
	if open { // what follows would be taken for code
		kept += "```"
	}
	return kept + last
}

// createFault gives Azure DevOps' refusals of a new pull request the names that callers branch on.
func (c *Client) createFault(ctx context.Context, owner, name string, pr forge.NewPullRequest, err error) error {
	var se *httpapi.StatusError
	if !errors.As(err, &se) {
		return err
	}
	switch {
	case coded(err, "TF401179"):
		return fmt.Errorf("%w (%w)", forge.ErrExists, se)
	case coded(err, "TF401398"): // source or target: the text does not say which
		if _, baseErr := c.BranchHead(ctx, owner, name, pr.Base); errors.Is(baseErr, forge.ErrNoBranch) {
			return fault.Perm("base_branch_missing", se)
		}
		return &httpapi.RetryError{Op: se.Op, Status: se.Status, After: headDelay, Message: "the forge does not see the head branch yet"}
	case se.Status == http.StatusNotFound:
		if re, readErr := c.repository(ctx, owner, name); readErr == nil && re.IsDisabled {
			return fault.Perm("repository_archived", se)
		}
		return fault.Perm("repository_not_found", se)
	}
	return err
}

// ClosePullRequest abandons a pull request; one that is closed already is a success.
func (c *Client) ClosePullRequest(ctx context.Context, owner, name string, number int) error {
	p, err := path(owner, name, "pullrequests", strconv.Itoa(number))
	if err != nil {
		return fmt.Errorf("close pull request: %w", err)
	}
	var got pullRequest
	err = c.write(ctx, http.MethodPatch, p, map[string]any{"status": "abandoned"}, &got)
	if coded(err, "TF401181") { // it can't be edited in the state that it is in
		if now, readErr := c.PullRequest(ctx, owner, name, number); readErr == nil && now.State == forge.Closed {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("close pull request %d: %w", number, c.missing(ctx, owner, name, err))
	}
	return nil
}

// AddLabels adds labels, one request each, as the API takes one; one that is there already stays.
func (c *Client) AddLabels(ctx context.Context, owner, name string, number int, labels []string) error {
	p, err := path(owner, name, "pullRequests", strconv.Itoa(number), "labels")
	if err != nil {
		return fmt.Errorf("add labels: %w", err)
	}
	for _, label := range labels {
		var got struct{}
		if err := c.write(ctx, http.MethodPost, p, map[string]any{"name": label}, &got); err != nil {
			return fmt.Errorf("add label %s to pull request %d: %w", label, number, c.missing(ctx, owner, name, err))
		}
	}
	return nil
}

// ChangedFiles lists what the newest iteration of a pull request changes. Azure DevOps shows no hunks.
func (c *Client) ChangedFiles(ctx context.Context, owner, name string, number int) ([]forge.FileChange, error) {
	p, err := path(owner, name, "pullRequests", strconv.Itoa(number), "iterations")
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	var iterations struct {
		Value []struct {
			ID int `json:"id"`
		} `json:"value"`
	}
	if _, err := c.api.Get(ctx, p, versioned(nil, apiVersion), &iterations); err != nil {
		return nil, fmt.Errorf("list files of pull request %d: %w", number, c.missing(ctx, owner, name, err))
	}
	newest := 0
	for _, i := range iterations.Value {
		newest = max(newest, i.ID)
	}
	var got struct {
		Entries []struct {
			Item struct {
				Path     string `json:"path"`
				IsFolder bool   `json:"isFolder"`
			} `json:"item"`
		} `json:"changeEntries"`
	}
	p += "/" + strconv.Itoa(newest) + "/changes"
	if _, err := c.api.Get(ctx, p, versioned(url.Values{"$top": {strconv.Itoa(maxFiles)}}, apiVersion), &got); err != nil {
		return nil, fmt.Errorf("list files of pull request %d: %w", number, err)
	}
	var out []forge.FileChange
	for _, e := range got.Entries {
		if !e.Item.IsFolder && len(out) < maxFiles {
			out = append(out, forge.FileChange{Path: strings.TrimPrefix(e.Item.Path, "/")})
		}
	}
	return out, nil
}
