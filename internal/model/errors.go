package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
)

const (
	maxErrorBody = 64 << 10
	// maxWait bounds what a server can make us wait.
	maxWait = 2 * time.Hour
)

// passingError may pass when the call is made again, not before after has gone by.
type passingError struct {
	message string
	after   time.Duration
	cause   error
}

func (p *passingError) Error() string { return p.message }

// Unwrap gives what ended the call, where that matters to somebody.
func (p *passingError) Unwrap() error { return p.cause }

// RetryAfter is how long the server asked us to wait, or 0.
func (p *passingError) RetryAfter() time.Duration { return p.after }

// statusError is an answer other than 2xx. It is inside of every error that such an answer gives.
type statusError struct {
	status  int
	message string
	// code, kind and param are the provider's own words for what is wrong, where it has some.
	code, kind, param string
}

func (s *statusError) Error() string {
	text := fmt.Sprintf("the model's API answered %d", s.status)
	if s.message != "" {
		text += ": " + s.message
	}
	return text
}

// refusal classifies an answer other than 2xx, and reads a bounded part of it.
func (e *endpoint) refusal(resp *http.Response) error {
	s := e.readRefusal(resp)
	if reason := permanent(s); reason != "" {
		return fault.Perm(reason, s)
	}
	return &passingError{message: s.Error(), after: retryAfter(resp.Header, e.now()), cause: s}
}

// readRefusal reads the shape that both APIs share: {"error": {"type", "message"}}, to which OpenAI's adds code and
// param. Some local servers have a plain string there.
func (e *endpoint) readRefusal(resp *http.Response) *statusError {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var body struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	var detail struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Code    any    `json:"code"`
		Param   string `json:"param"`
	}
	// What is not of this shape, such as a proxy's page, says nothing that we need.
	_ = json.Unmarshal(raw, &body)
	if json.Unmarshal(body.Error, &detail.Message) != nil {
		_ = json.Unmarshal(body.Error, &detail)
	}
	if detail.Message == "" {
		detail.Message = body.Message
	}
	code, _ := detail.Code.(string)
	return &statusError{status: resp.StatusCode, message: e.clean(detail.Message), code: clip(code, 100), kind: clip(detail.Type, 100), param: clip(detail.Param, 100)}
}

// permanent is the reason of an answer that trying again can't mend, or "".
func permanent(s *statusError) string {
	switch {
	case s.code == "insufficient_quota" || s.kind == "insufficient_quota" || s.kind == "billing_error" || s.status == http.StatusPaymentRequired:
		return ReasonQuota
	case s.status == http.StatusTooManyRequests || s.status == http.StatusRequestTimeout || s.status == http.StatusConflict || s.status >= 500:
		return ""
	case s.status == http.StatusUnauthorized:
		return ReasonUnauthorized
	case s.status == http.StatusForbidden:
		return ReasonForbidden
	case s.status == http.StatusNotFound:
		return ReasonNotFound
	case s.status == http.StatusRequestEntityTooLarge || s.code == "context_length_exceeded" || strings.Contains(strings.ToLower(s.message), "prompt is too long"):
		return ReasonTooLong
	}
	return ReasonBadRequest
}

// retryAfter reads the header's two forms (RFC 9110, section 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	wait := time.Duration(0)
	if s, err := strconv.ParseFloat(value, 64); err == nil {
		wait = time.Duration(min(max(s, 0), maxWait.Seconds()) * float64(time.Second))
	} else if t, err := http.ParseTime(value); err == nil {
		wait = t.Sub(now)
	}
	return min(max(wait, 0), maxWait)
}

// free says of an error that the call cost nothing: it was not sent, or it was refused.
func free(err error) bool {
	var s *statusError
	return errors.Is(err, errUnsent) || errors.As(err, &s)
}
