package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const maxComments = 1000

// To GitHub a pull request is an issue with code, and comments and labels are the issue's. For one that is a pull
// request the permission "Pull requests" is enough (docs.github.com/rest, "Create an issue comment", "Add labels to an
// issue").

type comment struct {
	ID        int64     `json:"id"`
	Body      string    `json:"body"`
	CreatedAt time.Time `json:"created_at"`
	User      user      `json:"user"`
}

func (c comment) public() forge.Comment {
	return forge.Comment{ID: strconv.FormatInt(c.ID, 10), Author: c.User.Login, Body: c.Body, At: c.CreatedAt}
}

// AddLabels adds labels to a pull request; those that it has stay, and those that the repository has not are made.
func (c *Client) AddLabels(ctx context.Context, owner, name string, n int, labels []string) error {
	path, err := httpapi.Path("repos", owner, name, "issues", number(n), "labels")
	if err != nil {
		return fmt.Errorf("label pull request: %w", err)
	}
	var got []any
	if err := c.write(ctx, owner, name, http.MethodPost, path, map[string]any{"labels": labels}, &got); err != nil {
		return fmt.Errorf("label pull request %d: %w", n, c.missing(ctx, owner, name, writeFault(err), forge.ErrNoPullRequest))
	}
	return nil
}

// Comments lists at most 1,000 comments, the oldest first.
func (c *Client) Comments(ctx context.Context, owner, name string, n int) ([]forge.Comment, error) {
	path, err := httpapi.Path("repos", owner, name, "issues", number(n), "comments")
	if err != nil {
		return nil, fmt.Errorf("list comments: %w", err)
	}
	var out []forge.Comment
	err = c.pages(ctx, owner, name, path, nil, maxComments, func() (any, func() int) {
		var page []comment
		return &page, func() int {
			for _, x := range page {
				out = append(out, x.public())
			}
			return len(page)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list comments of pull request %d: %w", n, c.missing(ctx, owner, name, err, forge.ErrNoPullRequest))
	}
	return out[:min(len(out), maxComments)], nil
}

// Comment says something in a pull request.
func (c *Client) Comment(ctx context.Context, owner, name string, n int, body string) (forge.Comment, error) {
	path, err := httpapi.Path("repos", owner, name, "issues", number(n), "comments")
	if err != nil {
		return forge.Comment{}, fmt.Errorf("comment: %w", err)
	}
	var got comment
	if err := c.write(ctx, owner, name, http.MethodPost, path, map[string]any{"body": body}, &got); err != nil {
		return forge.Comment{}, fmt.Errorf("comment on pull request %d: %w", n, c.missing(ctx, owner, name, writeFault(err), forge.ErrNoPullRequest))
	}
	return got.public(), nil
}

// EditComment gives a comment of ours another body. One that a person has deleted is "pull_request_rejected".
func (c *Client) EditComment(ctx context.Context, owner, name string, n int, id, body string) error {
	path, err := httpapi.Path("repos", owner, name, "issues", "comments", id)
	if err != nil {
		return fmt.Errorf("edit comment: %w", err)
	}
	var got comment
	if err := c.write(ctx, owner, name, http.MethodPatch, path, map[string]any{"body": body}, &got); err != nil {
		gone := fault.Perm("pull_request_rejected", errors.New("the comment is not there"))
		return fmt.Errorf("edit comment %s of pull request %d: %w", id, n, c.missing(ctx, owner, name, writeFault(err), gone))
	}
	return nil
}
