package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const (
	maxErrorBody = 64 << 10
	maxMessage   = 500
	// secondaryWait is what GitHub asks for when a secondary limit comes without a time
	// (docs.github.com, "Rate limits for the REST API").
	secondaryWait = time.Minute
	// maxWait bounds what a server can make us wait; GitHub's longest window is an hour.
	maxWait = 2 * time.Hour
)

// RetryError is an error that may pass when the call is tried again, not before After has gone by.
type RetryError struct {
	Op string
	// Status is the HTTP status, or 0 when no answer came.
	Status int
	// After is how long the server asked us to wait; 0 when it said nothing.
	After time.Duration
	// Guessed says that a limit was told without a time, and that After is our guess.
	Guessed bool
	Message string
	cause   error
}

func (e *RetryError) Error() string {
	switch {
	case e.After > 0:
		return fmt.Sprintf("%s: %s (try again in %s)", e.Op, e.Message, e.After)
	default:
		return e.Op + ": " + e.Message
	}
}

// Unwrap gives the context's error when that is what ended the call. Other causes are kept out: their text
// may hold the URL of a redirect, and with it a signature.
func (e *RetryError) Unwrap() error { return e.cause }

// StatusError is an answer that refuses the call, for callers that branch on what the API said.
type StatusError struct {
	Op      string
	Status  int
	Message string
	Errors  []Detail
}

// Detail is one entry of GitHub's "errors".
type Detail struct {
	Resource string `json:"resource"`
	Field    string `json:"field"`
	Code     string `json:"code"`
	Message  string `json:"message"`
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: status %d", e.Op, e.Status)
	if e.Message != "" {
		text += ": " + e.Message
	}
	for _, d := range e.Errors {
		text += fmt.Sprintf(" [%s]", strings.Join(strings.Fields(d.Resource+" "+d.Field+" "+d.Code+" "+d.Message), " "))
	}
	return text
}

// TransportError classifies an error that came instead of an answer.
func (c *Client) TransportError(op string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var p *fault.Permanent
	if errors.As(err, &p) {
		return fault.Perm(p.Reason, fmt.Errorf("%s: %w", op, p.Err))
	}
	out := &RetryError{Op: op, Message: c.clean(withoutURL(err))}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			out.cause = known
		}
	}
	return out
}

func withoutURL(err error) string {
	text := err.Error()
	if strings.Contains(text, "://") || strings.Contains(text, "Location") {
		return "the connection or a redirect failed"
	}
	return text
}

// Check classifies an answer by its status and headers; nil means 2xx. It reads the body of an error answer.
func (c *Client) Check(op string, resp *http.Response) error {
	// Azure DevOps answers a token that it does not take with 203 and its sign-in page (MicrosoftDocs/vsts-rest-api-specs
	// #97 and #574). None of the APIs answers a call that it takes with 203.
	if resp.StatusCode == http.StatusNonAuthoritativeInfo {
		return fault.Perm("unauthorized", &StatusError{Op: op, Status: resp.StatusCode, Message: "a page that asks to sign in"})
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	se := c.statusError(op, resp)
	if wait, limited := c.rateLimit(resp, se.Message); limited {
		guessed := wait < 0
		if guessed {
			wait = secondaryWait
		}
		return &RetryError{Op: op, Status: se.Status, After: wait, Guessed: guessed, Message: "rate limit: " + se.Message}
	}
	switch {
	case se.Status >= 500 || se.Status == http.StatusRequestTimeout:
		return &RetryError{Op: op, Status: se.Status, After: c.retryAfter(resp.Header), Message: fmt.Sprintf("status %d: %s", se.Status, se.Message)}
	case se.Status == http.StatusUnauthorized:
		return fault.Perm("unauthorized", se)
	case se.Status == http.StatusForbidden:
		return fault.Perm("forbidden", se)
	case se.Status == http.StatusNotFound:
		return fault.Perm("not_found", se)
	case se.Status == http.StatusGone:
		return fault.Perm("gone", se)
	case se.Status == http.StatusConflict || se.Status == http.StatusUnprocessableEntity:
		return fault.Perm("rejected", se)
	}
	return fault.Perm("unexpected_status", se)
}

// rateLimit tells a limit from a plain refusal: status 429, or 403 with one of GitHub's three signs. The wait is negative
// when no time was told.
func (c *Client) rateLimit(resp *http.Response, message string) (time.Duration, bool) {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusForbidden {
		return 0, false
	}
	h := resp.Header
	lower := strings.ToLower(message)
	secondary := strings.Contains(lower, "secondary rate limit") || strings.Contains(lower, "abuse detection")
	switch {
	case h.Get("Retry-After") != "":
		return c.retryAfter(h), true
	case limitHeader(h, "Remaining") == "0":
		return c.untilReset(h), true
	case secondary:
		return -1, true
	}
	return -1, resp.StatusCode == http.StatusTooManyRequests || strings.Contains(lower, "api rate limit exceeded")
}

// limitHeader reads GitHub's name of a header or GitLab's, which has no "X-".
func limitHeader(h http.Header, name string) string {
	return cmp.Or(h.Get("X-RateLimit-"+name), h.Get("RateLimit-"+name))
}

func (c *Client) retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseInt(v, 10, 64); err == nil {
		return bounded(time.Duration(min(max(s, 0), int64(maxWait/time.Second))) * time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return bounded(t.Sub(c.now()))
	}
	return 0
}

func (c *Client) untilReset(h http.Header) time.Duration {
	s, err := strconv.ParseInt(limitHeader(h, "Reset"), 10, 64)
	if err != nil {
		return -1
	}
	return bounded(time.Unix(s, 0).Sub(c.now()))
}

func bounded(d time.Duration) time.Duration { return min(max(d, 0), maxWait) }

func (c *Client) statusError(op string, resp *http.Response) *StatusError {
	se := &StatusError{Op: op, Status: resp.StatusCode}
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var body struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
		Errors  json.RawMessage `json:"errors"`
	}
	// What is not JSON (a proxy's page, an object store's XML) says nothing that we need.
	_ = json.Unmarshal(raw, &body)
	se.Message = c.clean(words(body.Message))
	if se.Message == "" {
		se.Message = c.clean(words(body.Error))
	}
	for _, d := range details(body.Errors) {
		se.Errors = append(se.Errors, Detail{c.clean(d.Resource), c.clean(d.Field), c.clean(d.Code), c.clean(d.Message)})
	}
	return se
}

// words reads a message that is one string, or as GitLab has it a list of strings or of strings by field.
func words(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, "; ")
	}
	var fields map[string][]string
	if json.Unmarshal(raw, &fields) != nil {
		return ""
	}
	var parts []string
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, field+" "+strings.Join(fields[field], ", "))
	}
	return strings.Join(parts, "; ")
}

// details reads GitHub's "errors", which holds objects, strings, or is one string.
func details(raw json.RawMessage) []Detail {
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		return []Detail{{Message: one}}
	}
	var list []json.RawMessage
	_ = json.Unmarshal(raw, &list)
	var out []Detail
	for _, item := range list {
		if len(out) == 10 {
			break
		}
		var d Detail
		if json.Unmarshal(item, &d) != nil {
			_ = json.Unmarshal(item, &d.Message)
		}
		out = append(out, d)
	}
	return out
}

// clean makes a foreign text fit for an error: without the token, on one line, and short.
func (c *Client) clean(text string) string {
	for _, secret := range c.auth.secrets(c.token) {
		text = strings.ReplaceAll(text, secret, "[token]")
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// RetryAfter is how long the server asked us to wait; 0 when it said nothing.
func (e *RetryError) RetryAfter() time.Duration { return e.After }
