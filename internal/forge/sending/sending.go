// Package sending writes to a forge's HTTP API. Only the publisher links it.
//
// A write is one request and is never repeated here: an error that is not permanent leaves open whether it took effect,
// and the caller looks before it writes again.
package sending

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const timeout = 30 * time.Second

// Sender writes to the API that a client reads from, with its token and its guards.
type Sender struct {
	api *httpapi.Client
	hc  *http.Client
}

// New returns a sender. A nil hc means one with sane timeouts.
func New(api *httpapi.Client, hc *http.Client) *Sender { return &Sender{api: api, hc: api.Guard(hc)} }

// Send writes in, as JSON, to an escaped path, and reads the answer into out; a nil in is no body at all. Errors are
// classified as httpapi does.
func (s *Sender) Send(ctx context.Context, method, path string, in, out any) error {
	op := method + " " + path
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fault.Perm("invalid_request", fmt.Errorf("%s: %w", op, err))
		}
		body = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := s.api.Prepare(ctx, method, path, nil, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.hc.Do(req)
	if err != nil {
		return s.api.TransportError(op, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := s.api.Check(op, resp); err != nil {
		return err
	}
	return s.api.Decode(op, resp.Body, out)
}
