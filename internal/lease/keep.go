package lease

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Keep renews a lease of length ttl until stop is called. The returned context is cancelled, with a cause that
// wraps ErrLost, as soon as renew says ErrLost, or when nothing has been confirmed for two thirds of ttl: early
// enough for the work to be dead before somebody else may begin. renew gets a fifth of ttl to answer.
func Keep(ctx context.Context, ttl time.Duration, renew func(context.Context) error) (held context.Context, stop func()) {
	held, cancel := context.WithCancelCause(ctx)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(ttl / 5)
		defer tick.Stop()
		confirmed := time.Now()
		for {
			select {
			case <-quit:
				return
			case <-held.Done():
				return
			case <-tick.C:
			}
			asked := time.Now()
			err := renewOnce(held, ttl/5, renew)
			switch {
			case err == nil:
				confirmed = asked
			case errors.Is(err, ErrLost):
				cancel(err)
				return
			case time.Since(confirmed) > ttl*2/3:
				cancel(fmt.Errorf("%w: not renewed in time: %w", ErrLost, err))
				return
			}
		}
	}()
	return held, func() { close(quit); <-ended; cancel(nil) }
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
