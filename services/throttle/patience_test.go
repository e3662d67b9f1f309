package throttle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

// outage is a database that may be away; it notes when runs were taken back.
type outage struct {
	Schedule
	away  bool
	taken int
}

var errAway = errors.New("no route to host")

func (o *outage) TakeBack(context.Context, run.Limits, int32) ([]store.Run, error) {
	if o.away {
		return nil, errAway
	}
	o.taken++
	return nil, nil
}

func (o *outage) RingAgain(context.Context, time.Duration, int32) ([]store.Run, error) {
	if o.away {
		return nil, errAway
	}
	return nil, nil
}

// TestAfterAnOutageOfTheDatabaseHoldersHaveALeasesTime: what they could not renew is not a crash.
func TestAfterAnOutageOfTheDatabaseHoldersHaveALeasesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &outage{}
		s := NewScheduler(Scheduler{Store: db, Silence: 30 * time.Second})
		sweep := func(want int, when string) {
			t.Helper()
			_ = s.sweep(t.Context())
			if db.taken != want {
				t.Errorf("%s: looked for lost leases %d times, want %d", when, db.taken, want)
			}
		}
		sweep(1, "as always")
		db.away = true
		sweep(1, "while it is away")
		<-time.After(time.Hour)
		sweep(1, "while it is still away")
		db.away = false
		sweep(1, "when it is back")
		<-time.After(29 * time.Second)
		sweep(1, "within the lease")
		<-time.After(time.Second)
		sweep(2, "after it")
	})
}
