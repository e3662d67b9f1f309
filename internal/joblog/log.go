package joblog

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	// logTimeout bounds one download, maxStream the bytes that it may bring.
	logTimeout = 5 * time.Minute
	maxStream  = 4 << 30
	// markerRoom is what the line between head and tail may take.
	markerRoom = 64
)

// Log reads a job's log. One longer than limit bytes is cut in the middle: about a quarter of it is its head
// and three quarters its tail, with a line between them that says how much is left out.
func (s *Source) Log(ctx context.Context, owner, name string, jobID, limit int64) (text []byte, truncated bool, err error) {
	if limit <= 0 {
		return nil, false, fault.Permf("invalid_limit", "read job log: the limit is %d bytes", limit)
	}
	path, err := httpapi.Path("repos", owner, name, "actions", "jobs", strconv.FormatInt(jobID, 10), "logs")
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	body, err := s.api.GetStream(ctx, path)
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", err)
	}
	defer func() { _ = body.Close() }()
	keep := newEnds(limit)
	n, err := io.Copy(keep, io.LimitReader(body, maxStream+1))
	if err != nil {
		return nil, false, fmt.Errorf("read job log: %w", s.api.TransportError("GET "+path, err))
	}
	if n > maxStream {
		return nil, false, fault.Permf("log_too_large", "read job log: job %d has more than %d bytes of log", jobID, int64(maxStream))
	}
	text, truncated = keep.text()
	return text, truncated, nil
}

// ends keeps the first and the last bytes of what is written to it, in a fixed amount of memory.
type ends struct {
	limit int64
	total int64
	head  []byte // the first limit/4 bytes
	tail  []byte // a ring of the last limit-limit/4 bytes
	at    int    // where the ring is written next
}

func newEnds(limit int64) *ends { return &ends{limit: limit} }

// Write never fails.
func (e *ends) Write(p []byte) (int, error) {
	n := len(p)
	e.total += int64(n)
	if room := int(e.limit/4) - len(e.head); room > 0 {
		take := min(room, len(p))
		e.head = append(e.head, p[:take]...)
		p = p[take:]
	}
	size := int(e.limit - e.limit/4)
	// The ring grows as it fills, so that a short log takes little memory whatever limit is.
	if room := size - len(e.tail); room > 0 {
		take := min(room, len(p))
		e.tail = append(e.tail, p[:take]...)
		p = p[take:]
	}
	for len(p) > 0 {
		took := copy(e.tail[e.at:], p)
		p = p[took:]
		e.at = (e.at + took) % size
	}
	return n, nil
}

func (e *ends) text() ([]byte, bool) {
	tail := append(append([]byte{}, e.tail[e.at:]...), e.tail[:e.at]...)
	if e.total <= e.limit {
		return append(e.head, tail...), false
	}
	if e.limit < 4*markerRoom {
		return append(e.head, tail...), true
	}
	marker := fmt.Sprintf("\n[... %d bytes left out ...]\n", e.total-e.limit+markerRoom)
	out := append(e.head, marker...)
	return append(out, tail[markerRoom:]...), true
}
