// Package httpapi reads from a forge's HTTP API.
//
// It promises that the token is sent to the API's own scheme, host and port and nowhere else (also not after
// a redirect), that the token stands in no error, that every read is bounded, and that each error is classified
// here and only here: a *RetryError may pass when tried again, everything else carries a fault reason.
// It sends GET requests and nothing else, so that a program that links only this can't write to a forge.
package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const (
	userAgent    = "sre-agent"
	maxBody      = 8 << 20
	maxRedirects = 5
	callTimeout  = 30 * time.Second
)

// Options says where an API is and how to speak to it.
type Options struct {
	// BaseURL is the API's root, such as "https://api.github.com".
	BaseURL string
	// Token is sent as Auth says; empty means anonymous.
	Token string
	Auth  Auth
	// Version is the value of the X-GitHub-Api-Version header; empty leaves it out.
	Version string
	// Accept is the media type of the answers; empty means GitHub's.
	Accept string
	// HTTP carries the calls; nil means a client of our own with sane timeouts.
	HTTP *http.Client
	// Now is the clock that turns a reset time into a wait; nil means time.Now.
	Now func() time.Time
}

// Client reads from one API.
type Client struct {
	base    *url.URL
	baseErr error
	token   string
	auth    Auth
	version string
	accept  string
	now     func() time.Time
	hc      *http.Client
}

// New returns a client. A base URL that can't be used is reported by each call, as "invalid_api_url".
func New(o Options) *Client {
	c := &Client{token: o.Token, auth: o.Auth, version: o.Version, accept: cmp.Or(o.Accept, "application/vnd.github+json"), now: o.Now}
	c.base, c.baseErr = parseBase(o.BaseURL)
	if c.now == nil {
		c.now = time.Now
	}
	guarded := c.Guard(o.HTTP)
	guarded.Transport = getOnly{guarded.Transport}
	c.hc = guarded
	return c
}

func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	// The parse error would repeat the whole URL, and a careless one may hold a password.
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fault.Permf("invalid_api_url", "the API's base URL must be http(s)://host[/path], without user or query")
	}
	return u, nil
}

// Guard returns a copy of hc (or a new client for nil) that takes the token off every redirect to another
// origin, keeps no cookies, and follows few redirects and none from https to http.
func (c *Client) Guard(hc *http.Client) *http.Client {
	guarded := &http.Client{}
	if hc != nil {
		*guarded = *hc
	}
	if guarded.Transport == nil {
		guarded.Transport = newTransport()
	}
	if c.base != nil {
		guarded.Transport = observed(guarded.Transport, c.base.Host)
	}
	guarded.Jar = nil
	guarded.CheckRedirect = c.checkRedirect
	return guarded
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: callTimeout,
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
	}
}

// checkRedirect compares whole origins. net/http compares host names alone, and would hand the token to
// another port or, on the same host, from https to http.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fault.Permf("too_many_redirects", "stopped after %d redirects", maxRedirects)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fault.Permf("insecure_redirect", "refused a redirect from https to %s", req.URL.Scheme)
	}
	// net/http follows 301, 302 and 303 of a write with a GET, whose answer would pass for that of the write.
	if req.Method != via[0].Method {
		return fault.Permf("redirected_write", "refused a redirect that makes a %s of a %s", req.Method, via[0].Method)
	}
	if c.base == nil || !sameOrigin(req.URL, c.base) {
		if req.Method != http.MethodGet {
			return fault.Permf("foreign_redirect", "refused to send a %s to another host", req.Method)
		}
		req.Header.Del("Authorization")
	}
	req.Header.Del("Referer")
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// getOnly refuses to carry anything but a GET.
type getOnly struct{ next http.RoundTripper }

func (g getOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		return nil, fault.Permf("not_a_read", "refused to send a %s: this client only reads", req.Method)
	}
	return g.next.RoundTrip(req)
}

// Path joins segments into an escaped path. A segment that a server could take for a way out of its folder
// ("", "." or "..") is refused as "invalid_name".
func Path(segments ...string) (string, error) {
	var b strings.Builder
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return "", fault.Permf("invalid_name", "%q can't be part of an API path", s)
		}
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String(), nil
}

// Prepare makes a request to an escaped path below the base URL, with every header that the API wants.
func (c *Client) Prepare(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	if c.baseErr != nil {
		return nil, c.baseErr
	}
	target := c.base.String() + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fault.Permf("invalid_name", "%s %s is not a valid request", method, path)
	}
	req.Header.Set("Accept", c.accept)
	req.Header.Set("User-Agent", userAgent)
	if c.version != "" {
		req.Header.Set("X-GitHub-Api-Version", c.version)
	}
	if c.token != "" {
		req.Header.Set("Authorization", c.auth.header(c.token))
	}
	return req, nil
}

// Get reads JSON from an escaped path into out and returns the response's headers.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := c.open(ctx, path, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.Header, c.Decode("GET "+path, resp.Body, out)
}

// GetStream opens the body at an escaped path, after any redirect; accept is the media type that it wants. The caller
// bounds its reading, ends it through ctx, closes it, and hands a read error to TransportError.
func (c *Client) GetStream(ctx context.Context, path string, query url.Values, accept string) (io.ReadCloser, error) {
	req, err := c.Prepare(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	return bodyOf(c.send("GET "+path, req))
}

// GetForeign is GetStream for an address that an answer of the API named. It never brings the token, not to the API
// itself either: such an address carries what opens it.
func (c *Client) GetForeign(ctx context.Context, address string) (io.ReadCloser, error) {
	const op = "GET an address that the API named"
	if c.baseErr != nil {
		return nil, c.baseErr
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && (u.Scheme != "http" || c.base.Scheme == "https")) {
		return nil, fault.Permf("invalid_address", "%s: it is no address that may be asked", op)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fault.Permf("invalid_address", "%s: it makes no request", op)
	}
	req.Header.Set("User-Agent", userAgent)
	return bodyOf(c.send(op, req))
}

func bodyOf(resp *http.Response, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (c *Client) open(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	req, err := c.Prepare(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	return c.send("GET "+path, req)
}

func (c *Client) send(op string, req *http.Request) (*http.Response, error) {
	resp, err := c.hc.Do(req)
	if err != nil {
		return nil, c.TransportError(op, err)
	}
	if err := c.Check(op, resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// Decode reads one bounded JSON value into out.
func (c *Client) Decode(op string, body io.Reader, out any) error {
	raw, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return c.TransportError(op, err)
	}
	if len(raw) > maxBody {
		return fault.Permf("response_too_large", "%s: the answer is larger than %d bytes", op, maxBody)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		// A proxy's error page with status 200 looks like this, and passes.
		return &RetryError{Op: op, Message: c.clean(fmt.Sprintf("the answer is not the JSON that we expect: %v", err))}
	}
	return nil
}

// HasNext says whether the headers of a page name a next one.
func HasNext(h http.Header) bool {
	return strings.Contains(strings.Join(h.Values("Link"), ","), `rel="next"`)
}
