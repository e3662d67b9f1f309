// Package github opens pull requests on GitHub or GitHub Enterprise Server by REST, and talks in them.
//
// Each call is one request (a list: one a page) and is never repeated here, but for one that GitHub did not take because
// an App's token had run out: an error that is not permanent leaves open whether a write took effect, and the caller
// looks before it writes again.
package github

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge/sending"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	apiVersion = "2022-11-28"
	pageSize   = 100
	headDelay  = 5 * time.Second
)

// Tokens hands out the token for a repository, which the API and git take alike.
type Tokens interface {
	// Token returns a token that is good for some minutes at least.
	Token(ctx context.Context, owner, name string) (string, error)
	// Refused says that GitHub did not take the token; true means that another one may be had.
	Refused(owner, name, token string) bool
}

// Fixed is one token for every repository.
type Fixed string

// Token implements Tokens.
func (f Fixed) Token(context.Context, string, string) (string, error) { return string(f), nil }

// Refused implements Tokens: there is no other token.
func (Fixed) Refused(string, string, string) bool { return false }

// Client speaks to one API.
type Client struct {
	baseURL string
	hc      *http.Client // whose connections all calls share
	tokens  Tokens
	// pushes says that a token may push because it was made to; GitHub does not say it of an App's.
	pushes bool
}

// New returns a client with one token. A nil hc means one with sane timeouts.
func New(baseURL, token string, hc *http.Client) *Client {
	return &Client{baseURL: baseURL, hc: shared(baseURL, hc), tokens: Fixed(token)}
}

// NewForApp returns a client that is an App. A nil hc means one with sane timeouts.
func NewForApp(baseURL string, app *App, hc *http.Client) *Client {
	return &Client{baseURL: baseURL, hc: shared(baseURL, hc), tokens: app, pushes: true}
}

func shared(baseURL string, hc *http.Client) *http.Client {
	return httpapi.New(httpapi.Options{BaseURL: baseURL}).Guard(hc)
}

// do runs a call with the repository's token, and once more when GitHub no longer takes a token that was kept.
func (c *Client) do(ctx context.Context, owner, name string, call func(*httpapi.Client) error) error {
	for again := true; ; again = false {
		token, err := c.tokens.Token(ctx, owner, name)
		if err != nil {
			return err
		}
		err = call(httpapi.New(httpapi.Options{BaseURL: c.baseURL, Token: token, Version: apiVersion, HTTP: c.hc}))
		if reason, _ := fault.Reason(err); reason != "unauthorized" || !again || !c.tokens.Refused(owner, name, token) {
			return err
		}
	}
}

func (c *Client) get(ctx context.Context, owner, name, path string, query url.Values, out any) (header http.Header, err error) {
	err = c.do(ctx, owner, name, func(api *httpapi.Client) error {
		header, err = api.Get(ctx, path, query, out)
		return err
	})
	return header, err
}

// write is the one place that writes.
func (c *Client) write(ctx context.Context, owner, name, method, path string, in, out any) error {
	return c.do(ctx, owner, name, func(api *httpapi.Client) error { return sending.New(api, c.hc).Send(ctx, method, path, in, out) })
}

// pages reads a list until it ends, or until one page holds what goes beyond most items. each is told to read one page
// and says how many items it had.
func (c *Client) pages(ctx context.Context, owner, name, path string, query url.Values, most int, page func() (into any, count func() int)) error {
	if query == nil {
		query = url.Values{}
	}
	query.Set("per_page", strconv.Itoa(pageSize))
	for at, n := 1, 0; n < most; at++ {
		query.Set("page", strconv.Itoa(at))
		into, count := page()
		header, err := c.get(ctx, owner, name, path, query, into)
		if err != nil {
			return err
		}
		got := count()
		if !httpapi.HasNext(header) && got < pageSize {
			return nil
		}
		n += max(got, 1) // an empty page that names a next one must not go on for ever
	}
	return nil
}

func number(n int) string { return strconv.Itoa(n) }
