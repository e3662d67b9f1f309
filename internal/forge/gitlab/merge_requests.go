package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
)

const (
	maxFound = 5000
	maxOpen  = 1000
	maxFiles = 300
)

type mergeRequest struct {
	IID             int    `json:"iid"`
	WebURL          string `json:"web_url"`
	State           string `json:"state"`
	SourceBranch    string `json:"source_branch"`
	TargetBranch    string `json:"target_branch"`
	SHA             string `json:"sha"`
	SourceProjectID *int64 `json:"source_project_id"` // null when the fork is gone
	TargetProjectID int64  `json:"target_project_id"`
	MergeCommitSHA  string `json:"merge_commit_sha"`
	SquashCommitSHA string `json:"squash_commit_sha"`
	HasConflicts    bool   `json:"has_conflicts"`
	Detailed        string `json:"detailed_merge_status"`
	Author          struct {
		Username string `json:"username"`
	} `json:"author"`
	Labels []string `json:"labels"`
}

func (m mergeRequest) public() forge.PullRequest {
	out := forge.PullRequest{
		Number: m.IID, URL: m.WebURL, State: forge.Closed, Merged: m.State == "merged",
		HeadRef: m.SourceBranch, HeadSHA: m.SHA, BaseRef: m.TargetBranch, Author: m.Author.Username, Labels: m.Labels,
		FromFork: m.SourceProjectID == nil || *m.SourceProjectID != m.TargetProjectID,
	}
	if m.State == "opened" || m.State == "locked" { // locked is open while GitLab is merging it
		out.State = forge.Open
		out.Conflicts = m.HasConflicts || m.Detailed == "conflict"
	}
	if out.Merged {
		out.MergeCommit = m.mergeCommit()
	}
	return out
}

// mergeCommit is the newest commit that the merge made on the base: without a merge commit it is the squashed one, and
// after a fast-forward the head itself.
func (m mergeRequest) mergeCommit() string {
	for _, sha := range []string{m.MergeCommitSHA, m.SquashCommitSHA} {
		if sha != "" {
			return sha
		}
	}
	return m.SHA
}

// FindPullRequests lists the merge requests, in every state, from a branch of this project, or, given "owner:branch", of
// the project by the same name that the owner has. A fork that is not there has none.
func (c *Client) FindPullRequests(ctx context.Context, owner, name, head string) ([]forge.PullRequest, error) {
	fork, branch := forge.SplitHead(head)
	source, err := c.forkID(ctx, fork, name)
	if err != nil {
		return nil, fmt.Errorf("find merge requests of %s: %w", head, err)
	}
	query := url.Values{"source_branch": {branch}, "state": {"all"}}
	found, err := list[mergeRequest](ctx, c, owner, name, forge.ErrNoPullRequest, query, maxFound, "merge_requests")
	if err != nil {
		return nil, fmt.Errorf("find merge requests of %s: %w", head, err)
	}
	if len(found) == maxFound {
		return nil, fault.Permf("too_many_pull_requests", "find merge requests of %s: %d or more", head, maxFound)
	}
	var out []forge.PullRequest
	for _, m := range found {
		// The branches of that name of all projects are listed, and only the project's number says whose one is.
		from := m.TargetProjectID
		if fork != "" {
			from = source
		}
		if m.SourceBranch == branch && m.SourceProjectID != nil && *m.SourceProjectID == from {
			out = append(out, m.public())
		}
	}
	return out, nil
}

// forkID is the number of an owner's project, or 0 when there is none.
func (c *Client) forkID(ctx context.Context, owner, name string) (int64, error) {
	if owner == "" {
		return 0, nil
	}
	p, err := c.readProject(ctx, owner, name)
	if reason, _ := fault.Reason(err); reason == "repository_not_found" {
		return 0, nil
	}
	return p.ID, err
}

// PullRequest reads one, or returns forge.ErrNoPullRequest.
func (c *Client) PullRequest(ctx context.Context, owner, name string, number int) (forge.PullRequest, error) {
	var got mergeRequest
	if _, err := c.get(ctx, owner, name, forge.ErrNoPullRequest, nil, &got, "merge_requests", strconv.Itoa(number)); err != nil {
		return forge.PullRequest{}, fmt.Errorf("read merge request %d: %w", number, err)
	}
	return got.public(), nil
}

// OpenPullRequests lists the open merge requests, the newest first and at most 1,000, those from forks too.
func (c *Client) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	query := url.Values{"state": {"opened"}, "order_by": {"created_at"}, "sort": {"desc"}}
	open, err := list[mergeRequest](ctx, c, owner, name, forge.ErrNoPullRequest, query, maxOpen, "merge_requests")
	if err != nil {
		return nil, fmt.Errorf("list open merge requests: %w", err)
	}
	out := make([]forge.PullRequest, 0, len(open))
	for _, m := range open {
		out = append(out, m.public())
	}
	return out, nil
}

// ClosePullRequest closes one without merging it; one that is closed or merged already stays as it is.
func (c *Client) ClosePullRequest(ctx context.Context, owner, name string, number int) error {
	var got mergeRequest
	err := c.change(ctx, owner, name, http.MethodPut, map[string]any{"state_event": "close"}, &got, strconv.Itoa(number))
	if err == nil && got.public().State == forge.Open {
		err = fault.Permf("pull_request_rejected", "GitLab left it %s", got.State)
	}
	if err != nil {
		return fmt.Errorf("close merge request %d: %w", number, err)
	}
	return nil
}

// AddLabels puts labels on a merge request. GitLab makes those that the project does not have yet.
func (c *Client) AddLabels(ctx context.Context, owner, name string, number int, labels []string) error {
	var got mergeRequest
	in := map[string]any{"add_labels": strings.Join(labels, ",")}
	if err := c.change(ctx, owner, name, http.MethodPut, in, &got, strconv.Itoa(number)); err != nil {
		return fmt.Errorf("label merge request %d: %w", number, err)
	}
	return nil
}

// ChangedFiles lists what a merge request changes, at most 300 files. What GitLab takes for too large has no hunks.
func (c *Client) ChangedFiles(ctx context.Context, owner, name string, number int) ([]forge.FileChange, error) {
	type file struct {
		OldPath string `json:"old_path"`
		NewPath string `json:"new_path"`
		Diff    string `json:"diff"`
		Deleted bool   `json:"deleted_file"`
	}
	files, err := list[file](ctx, c, owner, name, forge.ErrNoPullRequest, url.Values{}, maxFiles, "merge_requests", strconv.Itoa(number), "diffs")
	if err != nil {
		return nil, fmt.Errorf("list changed files of merge request %d: %w", number, err)
	}
	var out []forge.FileChange
	for _, f := range files {
		change := forge.FileChange{Path: f.NewPath}
		if f.Deleted {
			change.Path = f.OldPath
		}
		if strings.HasPrefix(f.Diff, "@@") {
			change.Hunks = f.Diff
		}
		out = append(out, change)
	}
	return out, nil
}
