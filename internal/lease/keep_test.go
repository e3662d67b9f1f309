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
				held, stop := Keep(context.Background(), begin, ttl, func(context.Context) error { return tc.renew(time.Since(begin)) })
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

func TestAProcessThatStoodStillForLongerThanItsLeaseNeverWorksOn(t *testing.T) {
	const ttl = 30 * time.Second
	t.Run("between asking for the lease and beginning", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			held, stop := Keep(context.Background(), time.Now().Add(-ttl), ttl, func(context.Context) error { return nil })
			defer stop()
			if !errors.Is(Lost(held), ErrLost) {
				t.Errorf("work begins with a lease that is over: %v", context.Cause(held))
			}
		})
	})
	t.Run("while a renewal hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			held, stop := Keep(context.Background(), began, ttl, func(ctx context.Context) error {
				timer := time.NewTimer(10 * ttl) // deaf to its context, as a stopped process is
				defer timer.Stop()
				<-timer.C
				return ctx.Err()
			})
			<-held.Done()
			if took := time.Since(began); took != ttl*2/3 || !errors.Is(Lost(held), ErrLost) {
				t.Errorf("cancelled after %v: %v", took, context.Cause(held))
			}
			stop()
		})
	})
}

func TestStopMayBeCalledTwice(t *testing.T) {
	_, stop := Keep(context.Background(), time.Now(), time.Minute, func(context.Context) error { return nil })
	stop()
	stop()
}
