package gitea

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
)

const (
	maxComments = 1000
	maxLabels   = 1000
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

// AddLabels puts labels on a pull request. The API wants their ids, so those that the repository does not have yet are
// made first.
func (c *Client) AddLabels(ctx context.Context, owner, name string, number int, labels []string) error {
	ids, err := c.labelIDs(ctx, owner, name, labels)
	if err == nil {
		var got []label
		err = c.change(ctx, owner, name, http.MethodPost, forge.ErrNoPullRequest, map[string]any{"labels": ids}, &got, "issues", strconv.Itoa(number), "labels")
	}
	if err != nil {
		return fmt.Errorf("label pull request %d: %w", number, err)
	}
	return nil
}

func (c *Client) labelIDs(ctx context.Context, owner, name string, wanted []string) ([]int64, error) {
	there, err := list[label](ctx, c, owner, name, forge.ErrNoPullRequest, nil, maxLabels, "labels")
	if err != nil {
		return nil, refusal(err)
	}
	known := map[string]int64{}
	for _, l := range there {
		known[strings.ToLower(l.Name)] = l.ID
	}
	var ids []int64
	for _, w := range wanted {
		id, ok := known[strings.ToLower(w)]
		if !ok {
			var made label
			in := map[string]any{"name": w, "color": labelColor}
			if err := c.change(ctx, owner, name, http.MethodPost, forge.ErrNoPullRequest, in, &made, "labels"); err != nil {
				return nil, fmt.Errorf("make label %s: %w", w, err)
			}
			id = made.ID
		}
		ids = append(ids, id)
	}
	return ids, nil
}
