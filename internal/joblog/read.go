package joblog

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/sre-agent/sre-agent/internal/httpapi"
)

// Timeout bounds the reading of one job's log.
const Timeout = 5 * time.Minute

// Read reads a log from one address of an API. One longer than limit bytes is cut in the middle, as Ends has it.
func Read(ctx context.Context, api *httpapi.Client, path string, query url.Values, limit int64) (text []byte, truncated bool, err error) {
	ends, err := NewEnds(limit)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	body, err := api.GetStream(ctx, path, query, "text/plain")
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	defer func() { _ = body.Close() }()
	if err := ends.Copy(api, "GET "+path, body); err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	text, truncated = ends.Text()
	return text, truncated, nil
}
