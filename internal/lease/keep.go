package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Keep renews a lease of length ttl, which was asked for at a moment that the caller noted before it asked, until
// stop is called, which may be called again. The returned context is cancelled, with a cause that wraps ErrLost, as
// soon as renew says ErrLost, or when nothing has been confirmed for two thirds of ttl: early enough for the work to
// be dead before somebody else may begin. That is a timer's doing, so a process that was stopped for longer hears of
// it at once when it goes on, whatever renew says or waits for. renew gets a fifth of ttl to answer.
func Keep(ctx context.Context, asked time.Time, ttl time.Duration, renew func(context.Context) error) (held context.Context, stop func()) {
	held, cancel := context.WithCancelCause(ctx)
	quit, ended := make(chan struct{}), make(chan struct{})
	var last atomic.Pointer[error]
	late := time.AfterFunc(ttl*2/3-time.Since(asked), func() { cancel(notInTime(last.Load())) })
	if time.Since(asked) >= ttl*2/3 {
		cancel(notInTime(nil)) // the answer took so long that the lease may be over: nothing may begin
	}
	go func() {
		defer close(ended)
		defer late.Stop()
		tick := time.NewTicker(ttl / 5)
		defer tick.Stop()
		for {
			select {
			case <-quit:
			case <-held.Done():
			case <-tick.C:
			}
			if over(quit) || held.Err() != nil {
				return
			}
			asked := time.Now()
			err := renewOnce(held, ttl/5, renew)
			switch {
			case err == nil:
				late.Reset(ttl*2/3 - time.Since(asked))
			case errors.Is(err, ErrLost):
				cancel(err)
				return
			default:
				last.Store(&err)
			}
		}
	}()
	return held, sync.OnceFunc(func() { close(quit); <-ended; cancel(nil) })
}

func over(quit <-chan struct{}) bool {
	select {
	case <-quit:
		return true
	default:
		return false
	}
}

func notInTime(last *error) error {
	if last == nil {
		return fmt.Errorf("%w: not renewed in time", ErrLost)
	}
	return fmt.Errorf("%w: not renewed in time: %w", ErrLost, *last)
}

// Lost says whether a context from Keep was cancelled because the lease was lost.
func Lost(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrLost) {
		return cause
	}
	return nil
}

func renewOnce(ctx context.Context, within time.Duration, renew func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return renew(ctx)
}
