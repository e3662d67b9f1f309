package ingest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// fullFor is how long a full stream is told of after the last delivery that it had no room for.
const fullFor = 15 * time.Second

// Fullness remembers whether the stream had room for the last deliveries. It is safe for concurrent use.
type Fullness struct{ since atomic.Int64 }

func (f *Fullness) note(full bool) {
	switch {
	case f == nil:
	case full:
		f.since.Store(time.Now().UnixNano())
	case f.since.Load() != 0:
		f.since.Store(0)
	}
}

// Ready says that the stream is full while it is.
func (f *Fullness) Ready(context.Context) error {
	if at := f.since.Load(); at != 0 && time.Since(time.Unix(0, at)) < fullFor {
		return errors.New("the DELIVERIES stream is full: deliveries are answered 503 (see DELIVERIES_MAX_BYTES)")
	}
	return nil
}
