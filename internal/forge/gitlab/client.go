// Package gitlab opens merge requests on GitLab, gitlab.com or self-managed, by REST v4.
//
// A write is one request and is never repeated here: an error that is not permanent leaves open whether it took effect,
// and the caller looks before it writes again. A project is named by its path, groups and all. What we write never
// begins a line with what GitLab would take for a command of its own.
//
// It is written to what docs.gitlab.com/api describes (merge_requests, notes, commits, branches, projects,
// project_members; /rest for pages and redirects), and has not met a real GitLab yet.
package gitlab

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/sending"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	pageSize = 100
)

// Client speaks for one token to one API.
type Client struct {
	api    *httpapi.Client
	sender *sending.Sender
}

// New returns a client for an API's root, such as https://gitlab.com/api/v4. A nil hc means one with sane timeouts.
func New(baseURL, token string, hc *http.Client) *Client {
	api := httpapi.New(httpapi.Options{BaseURL: baseURL, Token: token, Accept: "application/json", HTTP: hc})
	return &Client{api: api, sender: sending.New(api, hc)}
}

// project is the path below a project, which GitLab wants as one segment with its slashes escaped.
func project(owner, name string, below ...string) (string, error) {
	// Each part is looked at by itself, as a server may unescape the whole.
	if _, err := httpapi.Path(append(strings.Split(owner, "/"), strings.Split(name, "/")...)...); err != nil {
		return "", err
	}
	return httpapi.Path(append([]string{"projects", owner + "/" + name}, below...)...)
}

// get reads from below a project. What is not there is repository_not_found when the project is not there either, and
// missing otherwise.
func (c *Client) get(ctx context.Context, owner, name string, missing error, query url.Values, out any, below ...string) (http.Header, error) {
	path, err := project(owner, name, below...)
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
	// A missing project and a missing thing in it are both 404; ask, instead of trusting a message.
	if _, perr := c.Repository(ctx, owner, name); perr != nil {
		return perr
	}
	return missing
}

// list reads pages until there is no next one or most items are there.
func list[T any](ctx context.Context, c *Client, owner, name string, missing error, query url.Values, most int, below ...string) ([]T, error) {
	query.Set("per_page", strconv.Itoa(pageSize))
	var out []T
	for page := 1; len(out) < most; page++ {
		query.Set("page", strconv.Itoa(page))
		var got []T
		header, err := c.get(ctx, owner, name, missing, query, &got, below...)
		if err != nil {
			return nil, err
		}
		out = append(out, got...)
		if !httpapi.HasNext(header) || len(got) == 0 {
			break
		}
	}
	return out[:min(len(out), most)], nil
}

// write is the one place that writes.
func (c *Client) write(ctx context.Context, method, path string, in, out any) error {
	return refusal(c.sender.Send(ctx, method, path, in, out))
}

// change writes to a merge request that is there, or returns forge.ErrNoPullRequest.
func (c *Client) change(ctx context.Context, owner, name, method string, in, out any, below ...string) error {
	path, err := project(owner, name, append([]string{"merge_requests"}, below...)...)
	if err != nil {
		return err
	}
	return c.missing(ctx, owner, name, forge.ErrNoPullRequest, c.write(ctx, method, path, in, out))
}

// refusal names what GitLab refuses of any write. It refuses writes to a project that was moved with 405
// (docs.gitlab.com/api/rest, "Resolve a project path that changed").
func refusal(err error) error {
	var se *httpapi.StatusError
	if !errors.As(err, &se) {
		return err
	}
	switch se.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusNonAuthoritativeInfo:
		return err
	case http.StatusMethodNotAllowed:
		return fault.Perm("repository_not_found", err)
	}
	return fault.Perm("pull_request_rejected", err)
}
