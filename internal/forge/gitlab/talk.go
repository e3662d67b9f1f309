package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
)

const maxComments = 1000

type note struct {
	ID        int64     `json:"id"`
	Body      string    `json:"body"`
	System    bool      `json:"system"` // GitLab's own word on what happened
	CreatedAt time.Time `json:"created_at"`
	Author    struct {
		Username string `json:"username"`
	} `json:"author"`
}

func (n note) public() forge.Comment {
	return forge.Comment{ID: strconv.FormatInt(n.ID, 10), Author: n.Author.Username, Body: n.Body, At: n.CreatedAt}
}

// Comments lists what people wrote, the oldest first and at most 1,000.
func (c *Client) Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error) {
	query := url.Values{"sort": {"asc"}, "order_by": {"created_at"}}
	notes, err := list[note](ctx, c, owner, name, forge.ErrNoPullRequest, query, maxComments, "merge_requests", strconv.Itoa(number), "notes")
	if err != nil {
		return nil, fmt.Errorf("list notes of merge request %d: %w", number, err)
	}
	var out []forge.Comment
	for _, n := range notes {
		if !n.System {
			out = append(out, n.public())
		}
	}
	return out, nil
}

// Comment writes a comment.
func (c *Client) Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error) {
	var got note
	if err := c.change(ctx, owner, name, http.MethodPost, map[string]any{"body": harmless(body)}, &got, strconv.Itoa(number), "notes"); err != nil {
		return forge.Comment{}, fmt.Errorf("comment on merge request %d: %w", number, err)
	}
	return got.public(), nil
}

// EditComment replaces the text of a comment.
func (c *Client) EditComment(ctx context.Context, owner, name string, number int, id, body string) error {
	var got note
	if err := c.change(ctx, owner, name, http.MethodPut, map[string]any{"body": harmless(body)}, &got, strconv.Itoa(number), "notes", id); err != nil {
		return fmt.Errorf("edit note %s of merge request %d: %w", id, number, err)
	}
	return nil
}

// quickAction is a line that GitLab may carry out in the name of whoever wrote it, such as "/merge"
// (docs.gitlab.com/user/project/quick_actions). A path such as "/usr/bin" is none.
var quickAction = regexp.MustCompile(`(?m)^([ \t>]*)/([A-Za-z_]+)([ \t\r]|$)`)

// harmless keeps GitLab from taking a line of ours, which may quote a stranger's, for a command to it.
func harmless(body string) string { return quickAction.ReplaceAllString(body, `$1\/$2$3`) }
