package redeliver

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	callTimeout = 30 * time.Second
	maxPages    = 1000
)

// api makes the two kinds of requests that this package makes.
type api struct {
	base, version, accept string
	// token is asked anew for each request: an App's is good for minutes.
	token func() (string, error)
	hc    *http.Client
	now   func() time.Time
}

func newAPI(base, version, accept string, token func() (string, error), now func() time.Time) *api {
	guarded := httpapi.New(httpapi.Options{BaseURL: base}).Guard(nil)
	return &api{base: base, version: version, accept: accept, token: token, now: now, hc: &http.Client{Transport: narrow{guarded.Transport}}}
}

// narrow carries GET, and the POST that asks for a redelivery.
type narrow struct{ next http.RoundTripper }

func (n narrow) RoundTrip(req *http.Request) (*http.Response, error) {
	asks := req.Method == http.MethodPost && (strings.HasSuffix(req.URL.Path, "/attempts") || strings.HasSuffix(req.URL.Path, "/resend"))
	if req.Method != http.MethodGet && !asks {
		return nil, fault.Permf("not_a_redelivery", "refused to send a %s: this client only reads, and asks for redelivery", req.Method)
	}
	return n.next.RoundTrip(req)
}

// call sends one request and reads the answer into out, unless that is nil.
func (a *api) call(ctx context.Context, method, path string, query url.Values, out any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	c := httpapi.New(httpapi.Options{BaseURL: a.base, Token: token, Version: a.version, HTTP: a.hc, Now: a.now})
	req, err := c.Prepare(ctx, method, path, query, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", a.accept)
	op := method + " " + path
	resp, err := c.Guard(a.hc).Do(req)
	if err != nil {
		return nil, c.TransportError(op, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := c.Check(op, resp); err != nil || out == nil {
		return resp.Header, err
	}
	return resp.Header, c.Decode(op, resp.Body, out)
}

func fixed(token string) func() (string, error) {
	return func() (string, error) { return token, nil }
}
