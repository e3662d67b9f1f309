package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
)

const (
	maxComments = 1000
	labelColor  = "#7f8c8d"
)

type comment struct {
	ID        int64     `json:"id"`
	Body      string    `json:"body"`
	CreatedAt time.Time `json:"created_at"`
	User      user      `json:"user"`
}

func (c comment) public() forge.Comment {
	return forge.Comment{ID: strconv.FormatInt(c.ID, 10), Author: c.User.Login, Body: c.Body, At: c.CreatedAt}
}

// Comments lists what people wrote, the oldest first and at most 1,000. The API knows no pages here.
func (c *Client) Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error) {
	var got []comment
	if _, err := c.get(ctx, owner, name, forge.ErrNoPullRequest, nil, &got, "issues", strconv.Itoa(number), "comments"); err != nil {
		return nil, fmt.Errorf("list comments of pull request %d: %w", number, err)
	}
	var out []forge.Comment
	for _, x := range got[:min(len(got), maxComments)] {
		out = append(out, x.public())
	}
	return out, nil
}

// Comment writes a comment.
func (c *Client) Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error) {
	var got comment
	err := c.change(ctx, owner, name, http.MethodPost, forge.ErrNoPullRequest, map[string]any{"body": body}, &got, "issues", strconv.Itoa(number), "comments")
	if err != nil {
		return forge.Comment{}, fmt.Errorf("comment on pull request %d: %w", number, err)
	}
	return got.public(), nil
}

// EditComment replaces the text of a comment.
func (c *Client) EditComment(ctx context.Context, owner, name string, number int, id, body string) error {
	var got comment
	err := c.change(ctx, owner, name, http.MethodPatch, forge.ErrNoPullRequest, map[string]any{"body": body}, &got, "issues", "comments", id)
	if err != nil {
		return fmt.Errorf("edit comment %s of pull request %d: %w", id, number, err)
	}
	return nil
}

type label struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// AddLabels puts labels on a pull request. A server passes over names that neither the repository nor its organisation
// knows, so those are made and put on in a second go.
func (c *Client) AddLabels(ctx context.Context, owner, name string, number int, labels []string) error {
	missing, err := c.putLabels(ctx, owner, name, number, labels)
	for _, m := range missing {
		if err == nil {
			err = c.makeLabel(ctx, owner, name, m)
		}
	}
	if err == nil && len(missing) > 0 {
		if missing, err = c.putLabels(ctx, owner, name, number, missing); err == nil && len(missing) > 0 {
			err = fault.Permf("pull_request_rejected", "the server made the label %s and does not put it on", missing[0])
		}
	}
	if err != nil {
		return fmt.Errorf("label pull request %d: %w", number, err)
	}
	return nil
}

// putLabels returns the labels that are not there afterwards.
func (c *Client) putLabels(ctx context.Context, owner, name string, number int, labels []string) ([]string, error) {
	var there []label
	err := c.change(ctx, owner, name, http.MethodPost, forge.ErrNoPullRequest, map[string]any{"labels": labels}, &there, "issues", strconv.Itoa(number), "labels")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(labels), func(wanted string) bool {
		return slices.ContainsFunc(there, func(l label) bool { return strings.EqualFold(l.Name, wanted) })
	}), nil
}

func (c *Client) makeLabel(ctx context.Context, owner, name, text string) error {
	var made label
	in := map[string]any{"name": text, "color": labelColor, "description": "Used by sre-agent"}
	if err := c.change(ctx, owner, name, http.MethodPost, forge.ErrNoPullRequest, in, &made, "labels"); err != nil {
		return fmt.Errorf("make label %s: %w", text, err)
	}
	return nil
}
