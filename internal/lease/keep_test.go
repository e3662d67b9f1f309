package lease

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestKeepCancelsTheWorkInTime(t *testing.T) {
	const ttl = 30 * time.Second
	outage := errors.New("connection refused")
	for name, tc := range map[string]struct {
		renew  func(since time.Duration) error
		within time.Duration // the work must be cancelled before this; 0 means never
	}{
		"as long as it is renewed the work goes on":  {func(time.Duration) error { return nil }, 0},
		"a lease that is lost cancels at once":       {func(time.Duration) error { return ErrLost }, ttl / 4},
		"an outage cancels before the lease is over": {func(time.Duration) error { return outage }, ttl},
		"a short outage is survived": {func(since time.Duration) error {
			if since > 8*time.Second && since < 20*time.Second {
				return outage
			}
			return nil
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				held, stop := Keep(context.Background(), ttl, func(context.Context) error { return tc.renew(time.Since(begin)) })
				select {
				case <-held.Done():
					if tc.within == 0 || time.Since(begin) >= tc.within {
						t.Errorf("cancelled after %v", time.Since(begin))
					}
					if !errors.Is(Lost(held), ErrLost) {
						t.Errorf("the cause is %v", context.Cause(held))
					}
				case <-time.After(10 * ttl):
					if tc.within != 0 {
						t.Error("never cancelled")
					}
				}
				stop()
				if tc.within == 0 && Lost(held) != nil {
					t.Error("stopping is not losing")
				}
			})
		})
	}
}
