package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// headDelay is how long a server may take to see a push.
const headDelay = 5 * time.Second

// CreatePullRequest opens a pull request. It returns forge.ErrExists when an open one is there already.
func (c *Client) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	path, err := repository(owner, name, "pulls")
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request: %w", err)
	}
	in := map[string]any{"title": pr.Title, "head": pr.Head, "base": pr.Base, "body": pr.Body}
	if pr.Draft {
		in["title"] = "WIP: " + pr.Title // a title is all that makes a draft
	}
	if pr.HeadOwner != "" {
		in["head"] = pr.HeadOwner + ":" + pr.Head
	}
	var got pullRequest
	if err := c.write(ctx, http.MethodPost, path, in, &got); err != nil {
		return forge.PullRequest{}, fmt.Errorf("create pull request for %s: %w", pr.Head, c.createFault(ctx, owner, name, pr, err))
	}
	return got.public(), nil
}

// createFault gives the refusals of a new pull request the names that callers branch on.
func (c *Client) createFault(ctx context.Context, owner, name string, pr forge.NewPullRequest, err error) error {
	var se *httpapi.StatusError
	if !errors.As(err, &se) {
		return err
	}
	text := strings.ToLower(se.Message)
	switch {
	case se.Status == http.StatusConflict && strings.Contains(text, "already exists"):
		return fmt.Errorf("%w (%w)", forge.ErrExists, se)
	case se.Status == http.StatusUnprocessableEntity && strings.Contains(text, "no changes between"):
		return fault.Perm("no_commits_between", se)
	case se.Status == http.StatusNotFound:
		return c.notFound(ctx, owner, name, pr, se)
	}
	return err
}

// notFound asks what it is that is not there: a server says "404" of the repository, of either branch, and of pull
// requests that are turned off.
func (c *Client) notFound(ctx context.Context, owner, name string, pr forge.NewPullRequest, se *httpapi.StatusError) error {
	re, err := c.readRepository(ctx, owner, name)
	if err != nil {
		return err
	}
	if !re.HasPullRequests {
		return fault.Perm("pull_requests_disabled", se)
	}
	if _, err := c.BranchHead(ctx, owner, name, pr.Base); errors.Is(err, forge.ErrNoBranch) {
		return fault.Perm("base_branch_missing", se)
	}
	if pr.HeadOwner == "" {
		if _, err := c.BranchHead(ctx, owner, name, pr.Head); errors.Is(err, forge.ErrNoBranch) {
			// The caller has just pushed it: a server may see a push a moment late.
			return &httpapi.RetryError{Op: se.Op, Status: se.Status, After: headDelay, Message: "the forge does not see the head branch yet"}
		}
	}
	return fault.Perm("repository_not_found", se)
}
