// Package gitea opens pull requests on Gitea and on Forgejo, which share the API v1.
//
// A write is one request and is never repeated here: an error that is not permanent leaves open whether it took effect,
// and the caller looks before it writes again. Where the two differ, both are spoken to in a way that either takes:
// Forgejo 16 filters pull requests by their branch, older ones and Gitea ignore that and list all.
//
// Sources: the descriptions that both publish (templates/swagger/v1_json.tmpl), and for what those leave out
// routers/api/v1/repo (pull.go, issue_label.go, collaborators.go) and services/convert/pull.go of go-gitea/gitea.
package gitea

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge/sending"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	// pageSize is the largest that a server gives unless it is told otherwise (MAX_RESPONSE_ITEMS).
	pageSize = 50
)

// Client speaks for one token to one server.
type Client struct {
	api    *httpapi.Client
	sender *sending.Sender
}

// New returns a client for a server's own address, such as https://codeberg.org. A nil hc means one with sane timeouts.
func New(baseURL, token string, hc *http.Client) *Client {
	api := httpapi.New(httpapi.Options{
		BaseURL: strings.TrimRight(baseURL, "/") + "/api/v1", Token: token, Auth: httpapi.Token, Accept: "application/json", HTTP: hc,
	})
	return &Client{api: api, sender: sending.New(api, hc)}
}

func repository(owner, name string, below ...string) (string, error) {
	return httpapi.Path(append([]string{"repos", owner, name}, below...)...)
}

// get reads from below a repository. What is not there is repository_not_found when the repository is not there
// either, and missing otherwise.
func (c *Client) get(ctx context.Context, owner, name string, missing error, query url.Values, out any, below ...string) (http.Header, error) {
	path, err := repository(owner, name, below...)
	if err != nil {
		return nil, err
	}
	header, err := c.api.Get(ctx, path, query, out)
	return header, c.missing(ctx, owner, name, missing, err)
}

func (c *Client) missing(ctx context.Context, owner, name string, missing, err error) error {
	if reason, _ := fault.Reason(err); reason != "not_found" {
		return err
	}
	// A missing repository and a missing thing in it are both 404; ask, instead of trusting a message.
	if _, rerr := c.Repository(ctx, owner, name); rerr != nil {
		return rerr
	}
	return missing
}

// list reads pages until all or most items are there. A server may give fewer a page than it is asked for, so only the
// total that it names, or an empty page, is the end.
func list[T any](ctx context.Context, c *Client, owner, name string, missing error, query url.Values, most int, below ...string) ([]T, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", strconv.Itoa(pageSize))
	var out []T
	for page := 1; len(out) < most; page++ {
		query.Set("page", strconv.Itoa(page))
		var got []T
		header, err := c.get(ctx, owner, name, missing, query, &got, below...)
		if err != nil {
			return nil, err
		}
		out = append(out, got...)
		if len(got) == 0 || complete(header, len(out)) {
			break
		}
	}
	return out[:min(len(out), most)], nil
}

func complete(header http.Header, seen int) bool {
	total, err := strconv.Atoi(header.Get("X-Total-Count"))
	return err == nil && seen >= total
}

// write is the one place that writes.
func (c *Client) write(ctx context.Context, method, path string, in, out any) error {
	return refusal(c.sender.Send(ctx, method, path, in, out))
}

// change writes below a repository. What is not there is as in get.
func (c *Client) change(ctx context.Context, owner, name, method string, missing error, in, out any, below ...string) error {
	path, err := repository(owner, name, below...)
	if err != nil {
		return err
	}
	return c.missing(ctx, owner, name, missing, c.write(ctx, method, path, in, out))
}

// refusal names what a server refuses of any write.
func refusal(err error) error {
	var se *httpapi.StatusError
	if !errors.As(err, &se) {
		return err
	}
	switch se.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusNonAuthoritativeInfo:
		return err
	case http.StatusLocked:
		return fault.Perm("repository_archived", se)
	}
	return fault.Perm("pull_request_rejected", se)
}
