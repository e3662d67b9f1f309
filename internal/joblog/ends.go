package joblog

import (
	"fmt"
	"io"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

const (
	// maxStream bounds the bytes that one log may bring.
	maxStream = 4 << 30
	// markerRoom is what the line between head and tail may take.
	markerRoom = 64
	// firstRoom is what is set aside for a log before its size is known.
	firstRoom = 64 << 10
)

// Ends keeps the first and the last bytes of what is written to it, about a quarter and three quarters of its limit. It
// takes as much memory as its limit, whatever the log is.
type Ends struct {
	limit int
	total int64
	// buf is the head, and after it a ring of the last bytes.
	buf []byte
	at  int // where the ring is written next
}

// NewEnds wants a limit above 0.
func NewEnds(limit int64) (*Ends, error) {
	if limit <= 0 || limit > 1<<30 {
		return nil, fault.Permf("invalid_limit", "read job log: the limit is %d bytes", limit)
	}
	return &Ends{limit: int(limit), at: int(limit / 4)}, nil
}

// Write never fails.
func (e *Ends) Write(p []byte) (int, error) {
	n := len(p)
	e.total += int64(n)
	if room := e.limit - len(e.buf); room > 0 {
		take := min(room, len(p))
		e.grow(take)
		e.buf = append(e.buf, p[:take]...)
		p = p[take:]
	}
	for len(p) > 0 {
		took := copy(e.buf[e.at:], p)
		p = p[took:]
		if e.at += took; e.at == e.limit {
			e.at = e.limit / 4
		}
	}
	return n, nil
}

// grow makes room by halves, and never for more than the limit: append alone would make a quarter too much.
func (e *Ends) grow(more int) {
	if need := len(e.buf) + more; need > cap(e.buf) {
		bigger := make([]byte, len(e.buf), min(max(need, cap(e.buf)+cap(e.buf)/2, firstRoom), e.limit))
		copy(bigger, e.buf)
		e.buf = bigger
	}
}

// Copy writes all of a body, which came from the API's answer to op. An error is classified.
func (e *Ends) Copy(api *httpapi.Client, op string, body io.Reader) error {
	// Without a method of its own the body is read through a small buffer.
	_, err := io.Copy(struct{ io.Writer }{e}, io.LimitReader(body, maxStream-e.total+1))
	switch {
	case err != nil:
		return api.TransportError(op, err)
	case e.total > maxStream:
		return fault.Permf("log_too_large", "%s: the log has more than %d bytes", op, int64(maxStream))
	}
	return nil
}

// Text returns what is kept, with a line that says how much is left out where something is. Nothing may be written
// after it.
func (e *Ends) Text() (text []byte, truncated bool) {
	if e.total <= int64(e.limit) {
		return e.buf, false
	}
	head := e.limit / 4
	rotate(e.buf[head:], e.at-head)
	if e.limit < 4*markerRoom {
		return e.buf, true
	}
	marker := fmt.Sprintf("\n[... %d bytes left out ...]\n", e.total-int64(e.limit)+markerRoom)
	n := copy(e.buf[head:], marker)
	n += copy(e.buf[head+n:], e.buf[head+markerRoom:])
	return e.buf[:head+n], true
}

// rotate brings the bytes from at on to the front, in place.
func rotate(b []byte, at int) {
	reverse(b[:at])
	reverse(b[at:])
	reverse(b)
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}
