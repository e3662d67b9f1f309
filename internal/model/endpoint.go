package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// maxAnswer bounds an answer in bytes, whatever the model was told.
const maxAnswer = 2 << 20

// api is what a provider's words are.
type api interface {
	// encode makes the path below the base address and the body of a request.
	encode(r Request) (path string, body []byte, err error)
	// decode reads the body of a 2xx answer.
	decode(body []byte) (Answer, error)
	// authorize puts the key into a request.
	authorize(h http.Header, key string)
	// adapt learns from a refusal which part of the request the provider does not know. It says whether another try
	// without it makes sense.
	adapt(refused *statusError) bool
}

// endpoint sends requests to one address.
type endpoint struct {
	base    string
	key     string
	api     api
	timeout time.Duration
	hc      *http.Client
	now     func() time.Time
}

// maxAdaptations is how many parts of a request a provider may not know.
const maxAdaptations = 5

func newEndpoint(base, key string, a api, timeout time.Duration) *endpoint {
	return &endpoint{
		base: strings.TrimRight(base, "/"), key: key, api: a, timeout: timeout, now: time.Now,
		hc: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
				TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 60 * time.Second, ForceAttemptHTTP2: true,
				MaxResponseHeaderBytes: 64 << 10,
			},
			// The key and the question are for this address alone.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// errUnsent says that nothing of a request can have reached the provider.
var errUnsent = errors.New("the request was not sent")

// ask sends a request. An error that wraps errUnsent, or a *statusError, cost nothing; of any other nobody knows.
func (e *endpoint) ask(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	for range maxAdaptations {
		body, err := e.post(ctx, r)
		var refused *statusError
		if errors.As(err, &refused) && e.api.adapt(refused) {
			continue
		}
		if err != nil {
			return Answer{}, err
		}
		return e.api.decode(body)
	}
	return Answer{}, fault.Permf(ReasonBadRequest, "the model's API refuses more and more parts of the request")
}

func (e *endpoint) post(ctx context.Context, r Request) ([]byte, error) {
	path, body, err := e.api.encode(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fault.Perm(ReasonBadRequest, fmt.Errorf("%w: the model's address is malformed", errUnsent))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sre-agent")
	if e.key != "" {
		e.api.authorize(req.Header, e.key)
	}
	resp, err := e.hc.Do(req)
	if err != nil {
		return nil, e.transport(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, e.refusal(resp)
	}
	// One byte more than allowed tells a long answer; the rest is never read.
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, e.transport(ctx, err)
	}
	if len(answer) > maxAnswer {
		return nil, fault.Permf(ReasonTruncated, "the answer is larger than %d bytes", maxAnswer)
	}
	return answer, nil
}

// transport puts an error that came instead of an answer into words without the address's query or the key.
func (e *endpoint) transport(ctx context.Context, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	out := &passingError{message: "the model did not answer: " + e.clean(err.Error())}
	if cause := context.Cause(ctx); cause != nil {
		out.cause = cause
		if errors.Is(cause, context.DeadlineExceeded) {
			out.message = fmt.Sprintf("the model did not answer within %s", e.timeout)
		}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		out.cause = errUnsent
	}
	return out
}

func (e *endpoint) clean(text string) string {
	if e.key != "" {
		text = strings.ReplaceAll(text, e.key, "[key]")
	}
	return oneLine(visible(text), 400)
}
