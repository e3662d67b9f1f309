package gitlab

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

// headDelay is how long GitLab may take to see a push.
const headDelay = 5 * time.Second

// CreatePullRequest opens a merge request. It returns forge.ErrExists when an open one is there already. One from a
// fork is asked of the fork, which has to have the project's name.
func (c *Client) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	got, err := c.create(ctx, owner, name, pr)
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("create merge request for %s: %w", pr.Head, err)
	}
	return got.public(), nil
}

func (c *Client) create(ctx context.Context, owner, name string, pr forge.NewPullRequest) (mergeRequest, error) {
	in := map[string]any{"title": pr.Title, "source_branch": pr.Head, "target_branch": pr.Base, "description": harmless(pr.Body)}
	if pr.Draft {
		in["title"] = "Draft: " + pr.Title // a title is all that makes a draft
	}
	source := owner
	if pr.HeadOwner != "" && pr.HeadOwner != owner {
		target, err := c.readProject(ctx, owner, name)
		if err != nil {
			return mergeRequest{}, refusal(err)
		}
		source, in["target_project_id"] = pr.HeadOwner, target.ID
	}
	path, err := project(source, name, "merge_requests")
	if err != nil {
		return mergeRequest{}, err
	}
	var got mergeRequest
	err = c.write(ctx, http.MethodPost, path, in, &got)
	return got, c.createFault(ctx, owner, name, err)
}

// createFault gives GitLab's refusals of a new merge request the names that callers branch on.
func (c *Client) createFault(ctx context.Context, owner, name string, err error) error {
	var se *httpapi.StatusError
	if !errors.As(err, &se) {
		return err
	}
	text := strings.ToLower(se.Message)
	switch {
	case se.Status == http.StatusNotFound:
		return fault.Perm("repository_not_found", se)
	case se.Status == http.StatusForbidden:
		return c.forbidden(ctx, owner, name, err)
	case se.Status == http.StatusConflict && strings.Contains(text, "another open merge request already exists"):
		return fmt.Errorf("%w (%w)", forge.ErrExists, se)
	case strings.Contains(text, "disabled merge requests"):
		return fault.Perm("pull_requests_disabled", se)
	case strings.Contains(text, "target_branch does not exist"):
		return fault.Perm("base_branch_missing", se)
	case strings.Contains(text, "source_branch does not exist"):
		// The caller has just pushed it: GitLab sees a push a moment late.
		return &httpapi.RetryError{Op: se.Op, Status: se.Status, After: headDelay, Message: "the forge does not see the source branch yet"}
	}
	return err
}

// forbidden asks why: GitLab says "403 Forbidden" for archived projects and disabled merge requests as well.
func (c *Client) forbidden(ctx context.Context, owner, name string, err error) error {
	p, perr := c.readProject(ctx, owner, name)
	switch {
	case perr != nil:
		return err
	case p.Archived:
		return fault.Perm("repository_archived", unwrapped(err))
	case p.MergeRequestsAccess == "disabled":
		return fault.Perm("pull_requests_disabled", unwrapped(err))
	}
	return err
}

// unwrapped takes the reason off an error that gets a better one.
func unwrapped(err error) error {
	var p *fault.Permanent
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
