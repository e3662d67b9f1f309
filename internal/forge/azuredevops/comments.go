package azuredevops

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

type thread struct {
	ID        int       `json:"id"`
	IsDeleted bool      `json:"isDeleted"`
	Comments  []comment `json:"comments"`
}

type comment struct {
	ID        int       `json:"id"`
	Content   string    `json:"content"`
	Type      string    `json:"commentType"`
	IsDeleted bool      `json:"isDeleted"`
	Author    person    `json:"author"`
	Published time.Time `json:"publishedDate"`
}

// public names a comment by its thread and its number in it, as THREAD-COMMENT.
func (c comment) public(thread int) forge.Comment {
	return forge.Comment{ID: fmt.Sprintf("%d-%d", thread, c.ID), Author: c.Author.login(), Body: c.Content, At: c.Published}
}

// Comments lists what people wrote on a pull request, oldest first, and nothing that the system wrote.
func (c *Client) Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error) {
	p, err := path(owner, name, "pullRequests", strconv.Itoa(number), "threads")
	if err != nil {
		return nil, fmt.Errorf("list comments: %w", err)
	}
	var got struct {
		Value []thread `json:"value"`
	}
	if _, err := c.api.Get(ctx, p, versioned(nil, apiVersion), &got); err != nil {
		return nil, fmt.Errorf("list comments of pull request %d: %w", number, c.missing(ctx, owner, name, err))
	}
	var out []forge.Comment
	for _, t := range got.Value {
		for _, one := range t.Comments {
			if !t.IsDeleted && !one.IsDeleted && one.Type != "system" {
				out = append(out, one.public(t.ID))
			}
		}
	}
	slices.SortStableFunc(out, func(a, b forge.Comment) int { return a.At.Compare(b.At) })
	return out[:min(len(out), maxItems)], nil
}

// Comment adds a comment to a pull request, in a thread of its own that holds up nothing.
func (c *Client) Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error) {
	p, err := path(owner, name, "pullRequests", strconv.Itoa(number), "threads")
	if err != nil {
		return forge.Comment{}, fmt.Errorf("comment: %w", err)
	}
	in := map[string]any{
		"status":   "closed", // an active thread would stop a merge where comments must be resolved
		"comments": []any{map[string]any{"parentCommentId": 0, "content": body, "commentType": "text"}},
	}
	var got thread
	if err := c.write(ctx, http.MethodPost, p, in, &got); err != nil {
		return forge.Comment{}, fmt.Errorf("comment on pull request %d: %w", number, c.missing(ctx, owner, name, refused(err)))
	}
	if len(got.Comments) == 0 {
		return forge.Comment{}, fault.Permf("unexpected_status", "comment on pull request %d: the new thread is empty", number)
	}
	return got.Comments[0].public(got.ID), nil
}

// EditComment replaces the text of a comment.
func (c *Client) EditComment(ctx context.Context, owner, name string, number int, id, body string) error {
	in, one, ok := strings.Cut(id, "-")
	if !ok {
		return fault.Permf("invalid_name", "edit comment: %.100q is no comment's id", id)
	}
	p, err := path(owner, name, "pullRequests", strconv.Itoa(number), "threads", in, "comments", one)
	if err != nil {
		return fmt.Errorf("edit comment: %w", err)
	}
	var got comment
	if err := c.write(ctx, http.MethodPatch, p, map[string]any{"content": body}, &got); err != nil {
		return fmt.Errorf("edit comment %s: %w", id, c.missing(ctx, owner, name, refused(err)))
	}
	return nil
}
