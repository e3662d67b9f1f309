package gitea

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
)

type pullRequest struct {
	Number         int     `json:"number"`
	HTMLURL        string  `json:"html_url"`
	State          string  `json:"state"`
	Draft          bool    `json:"draft"`
	Merged         bool    `json:"merged"`
	Mergeable      bool    `json:"mergeable"`
	MergeCommitSHA string  `json:"merge_commit_sha"`
	Head           ref     `json:"head"`
	Base           ref     `json:"base"`
	User           user    `json:"user"`
	Labels         []label `json:"labels"`
}

type user struct {
	Login string `json:"login"`
}

// ref has the branch in Label; when the branch is gone, Ref is refs/pull/N/head.
type ref struct {
	Label  string `json:"label"`
	Ref    string `json:"ref"`
	SHA    string `json:"sha"`
	RepoID int64  `json:"repo_id"` // -1 when the fork is gone
	Repo   struct {
		Owner user `json:"owner"`
	} `json:"repo"`
}

func (r ref) branch() string {
	if strings.HasPrefix(r.Ref, "refs/") && r.Label != "" {
		return r.Label
	}
	return r.Ref
}

func (p pullRequest) public() forge.PullRequest {
	out := forge.PullRequest{
		Number: p.Number, URL: p.HTMLURL, State: p.State, Merged: p.Merged,
		HeadRef: p.Head.branch(), HeadSHA: p.Head.SHA, BaseRef: p.Base.branch(),
		FromFork: p.Head.RepoID != p.Base.RepoID, Author: p.User.Login,
		// A draft is never mergeable, so nothing is known of its conflicts.
		Conflicts: p.State == forge.Open && !p.Draft && !p.Mergeable,
	}
	for _, l := range p.Labels {
		out.Labels = append(out.Labels, l.Name)
	}
	if out.Merged {
		out.MergeCommit = p.MergeCommitSHA
	}
	return out
}

// FindPullRequests lists the pull requests, in every state, from a branch of this repository, or, given "owner:branch",
// of that owner's fork, of which there is one.
func (c *Client) FindPullRequests(ctx context.Context, owner, name, head string) ([]forge.PullRequest, error) {
	fork, branch := forge.SplitHead(head)
	found, err := list[pullRequest](ctx, c, owner, name, errNoPulls, url.Values{"state": {"all"}, "head": {branch}}, maxFound, "pulls")
	if err != nil {
		return nil, fmt.Errorf("find pull requests of %s: %w", head, err)
	}
	if len(found) == maxFound {
		return nil, fault.Permf("too_many_pull_requests", "find pull requests of %s: there are %d or more", head, maxFound)
	}
	var out []forge.PullRequest
	for _, p := range found {
		pr := p.public()
		if pr.HeadRef == branch && pr.FromFork == (fork != "") && (fork == "" || strings.EqualFold(p.Head.Repo.Owner.Login, fork)) {
			out = append(out, pr)
		}
	}
	return out, nil
}

// errNoPulls is what a missing list of pull requests means in a repository that is there.
var errNoPulls = fault.Permf("pull_requests_disabled", "the repository has no pull requests, or the token may not see them")

// PullRequest reads one, or returns forge.ErrNoPullRequest.
func (c *Client) PullRequest(ctx context.Context, owner, name string, number int) (forge.PullRequest, error) {
	var got pullRequest
	if _, err := c.get(ctx, owner, name, forge.ErrNoPullRequest, nil, &got, "pulls", strconv.Itoa(number)); err != nil {
		return forge.PullRequest{}, fmt.Errorf("read pull request %d: %w", number, err)
	}
	return got.public(), nil
}

// OpenPullRequests lists the open pull requests, the newest first and at most 1,000, those from forks too.
func (c *Client) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	open, err := list[pullRequest](ctx, c, owner, name, errNoPulls, url.Values{"state": {"open"}}, maxOpen, "pulls")
	if err != nil {
		return nil, fmt.Errorf("list open pull requests: %w", err)
	}
	out := make([]forge.PullRequest, 0, len(open))
	for _, p := range open {
		out = append(out, p.public())
	}
	return out, nil
}

// ClosePullRequest closes one without merging it; one that is closed or merged already stays as it is.
func (c *Client) ClosePullRequest(ctx context.Context, owner, name string, number int) error {
	var got pullRequest
	err := c.change(ctx, owner, name, http.MethodPatch, forge.ErrNoPullRequest, map[string]any{"state": forge.Closed}, &got, "pulls", strconv.Itoa(number))
	if reason, _ := fault.Reason(err); reason == "pull_request_rejected" {
		// A merged one is answered 412, and so is one that other things still wait for.
		if pr, perr := c.PullRequest(ctx, owner, name, number); perr == nil && pr.State == forge.Closed {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("close pull request %d: %w", number, err)
	}
	return nil
}
