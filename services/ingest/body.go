package ingest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sre-agent/sre-agent/internal/telemetry"
)

const (
	defaultBytesInFlight = 64 << 20
	// firstStep is what a body gets before any of it has come: a sender that dribbles holds no more.
	firstStep = 4 << 10
	// largeFrom is the size from which bodies share a budget of their own, so that they can't starve the usual ones.
	largeFrom = 1 << 20
	// budgetWait is how long a body waits for memory before its sender is told to come again.
	budgetWait = 2 * time.Second
	// slowest is the rate, in bytes a second, below which a sender is cut off; leeway is what it gets on top.
	slowest = 32 << 10
	leeway  = 10 * time.Second
)

// budget bounds the memory of all bodies in flight. Half of it is for large ones.
type budget struct {
	usual, large *semaphore.Weighted
	largeSize    int64
}

func newBudget(bytes int64) *budget {
	return &budget{usual: semaphore.NewWeighted(bytes / 2), large: semaphore.NewWeighted(bytes / 2), largeSize: bytes / 2}
}

func (b *budget) hold() *hold { return &hold{budget: b} }

// hold is one request's part of the budget, and the buffer that its body is in.
type hold struct {
	budget       *budget
	usual, large int64
	buffer       *[]byte
}

// Bodies of the usual sizes are read into buffers that are used again: they are most of what a request allocates.
const usualBody = 32 << 10

var (
	firstBuffers = sync.Pool{New: func() any { b := make([]byte, 0, firstStep); return &b }}
	usualBuffers = sync.Pool{New: func() any { b := make([]byte, 0, usualBody); return &b }}
)

// bytes returns a buffer for n bytes with what is in body. It is good until release.
func (h *hold) bytes(n int64, body []byte) []byte {
	var next *[]byte
	switch n {
	case firstStep:
		next = firstBuffers.Get().(*[]byte)
	case usualBody:
		next = usualBuffers.Get().(*[]byte)
	default:
		b := make([]byte, 0, n)
		next = &b
	}
	grown := append((*next)[:0], body...)
	h.putBack()
	h.buffer = next
	return grown
}

func (h *hold) putBack() {
	switch {
	case h.buffer == nil:
	case cap(*h.buffer) == firstStep:
		firstBuffers.Put(h.buffer)
	case cap(*h.buffer) == usualBody:
		usualBuffers.Put(h.buffer)
	}
	h.buffer = nil
}

var errBusy = errors.New("too many bodies in flight")

// grow makes the part n bytes. Whoever has waited for long enough gives up, so that nobody waits for ever.
func (h *hold) grow(ctx context.Context, n int64) error {
	sem, had := h.budget.usual, &h.usual
	if n > largeFrom {
		// One body larger than the whole budget is alone with it.
		sem, had, n = h.budget.large, &h.large, min(n, h.budget.largeSize)
	}
	more := n - *had
	if more <= 0 {
		return nil
	}
	if !sem.TryAcquire(more) {
		ctx, cancel := context.WithTimeout(ctx, budgetWait)
		defer cancel()
		if sem.Acquire(ctx, more) != nil {
			return errBusy
		}
	}
	*had = n
	return nil
}

// release gives everything back. Nobody may look at the body any more.
func (h *hold) release() {
	h.putBack()
	h.budget.usual.Release(h.usual)
	h.budget.large.Release(h.large)
	h.usual, h.large = 0, 0
}

// read reads a body into memory that the budget allows, at no less than the slowest rate.
func (h *intake) read(w http.ResponseWriter, r *http.Request, hold *hold) ([]byte, *rejection) {
	length := r.ContentLength
	if h.ReadTimeout > 0 {
		size := h.MaxBody
		if length >= 0 {
			size = length
		}
		wait := min(h.ReadTimeout, leeway+time.Duration(size)*time.Second/slowest)
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(wait))
	}
	body, err := readAll(r.Context(), http.MaxBytesReader(w, r.Body, h.MaxBody), length, hold)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge()
	case errors.Is(err, errBusy):
		return nil, &rejection{http.StatusServiceUnavailable, telemetry.RejectBusy, "too much is being received at once; send it again"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &rejection{http.StatusRequestTimeout, telemetry.RejectTimeout, "the body came too slowly"}
	case err != nil:
		return nil, &rejection{http.StatusBadRequest, telemetry.RejectTimeout, "the body could not be read to its end"}
	}
	return body, nil
}

// readAll reads to the end. Once the first bytes have come, a body gets a buffer of the usual size, and then, if it is
// larger, all its memory at once; one of an unknown length doubles it.
func readAll(ctx context.Context, r io.Reader, length int64, hold *hold) ([]byte, error) {
	size := int64(firstStep)
	var body []byte
	for {
		if err := hold.grow(ctx, size); err != nil {
			return nil, err
		}
		body = hold.bytes(size, body)
		for int64(len(body)) < size {
			n, err := r.Read(body[len(body):size])
			body = body[:len(body)+n]
			if errors.Is(err, io.EOF) {
				return body, nil
			}
			if err != nil {
				return nil, err
			}
		}
		size = max(2*size, length+1, usualBody)
	}
}
