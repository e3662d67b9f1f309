package lease

import (
	"context"
	"sync"
	"testing"
	"time"
)

// quota is what the shared and the local one have in common.
type quota interface {
	Take(ctx context.Context, key string, n int, windows ...Window) (time.Duration, error)
}

// TestAQuotaLetsNoMoreThroughThanEachWindowAllows asks as soon as it may for two hours, of the shared and the local one.
func TestAQuotaLetsNoMoreThroughThanEachWindowAllows(t *testing.T) {
	t.Parallel()
	local := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	mini := onMiniredis(t)
	for name, tt := range map[string]struct {
		q    quota
		pass func(time.Duration)
	}{
		"shared": {NewQuota(mini.rdb, "t:"), mini.pass},
		"local":  {&LocalQuota{Now: func() time.Time { return local }}, func(d time.Duration) { local = local.Add(d) }},
	} {
		t.Run(name, func(t *testing.T) {
			var taken []time.Duration
			for at := time.Duration(0); at < 2*time.Hour; {
				wait, err := tt.q.Take(t.Context(), "k", 3, Window{8, time.Minute}, Window{20, time.Hour})
				must(t, err)
				if wait == 0 {
					taken = append(taken, at, at, at)
					continue
				}
				at += wait
				tt.pass(wait)
			}
			for i, first := range taken {
				inMinute, inHour := 0, 0
				for _, other := range taken[i:] {
					if other < first+time.Minute {
						inMinute++
					}
					if other < first+time.Hour {
						inHour++
					}
				}
				if inMinute > 8 || inHour > 20 {
					t.Fatalf("from %s on: %d in a minute, %d in an hour", first, inMinute, inHour)
				}
			}
			// Two at once, two a minute later, two more; then those of the first minute have to be an hour old.
			if len(taken) != 36 || taken[5] != 0 || taken[6] != time.Minute || taken[12] != 2*time.Minute || taken[18] != time.Hour {
				t.Errorf("%d taken, at %v", len(taken), taken)
			}
		})
	}
}

func TestThoseWhoShareAQuotaTakeNoMoreTogether(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, s server) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		taken := 0
		for range 4 {
			q := NewQuota(s.rdb, "t:")
			wg.Go(func() {
				for range 10 {
					wait, err := q.Take(t.Context(), "k", 1, Window{7, time.Hour})
					mu.Lock()
					if err != nil {
						t.Error(err)
					} else if wait == 0 {
						taken++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if taken != 7 {
			t.Errorf("%d were taken of 7", taken)
		}
		if wait, err := NewQuota(s.rdb, "t:").Take(t.Context(), "other", 1, Window{7, time.Hour}); err != nil || wait != 0 {
			t.Errorf("another key waits %s, %v", wait, err)
		}
	})
}

func TestAQuotaRefusesWhatCanNeverBeHad(t *testing.T) {
	t.Parallel()
	minute := Window{2, time.Minute}
	for _, q := range []quota{NewQuota(onMiniredis(t).rdb, "t:"), &LocalQuota{Now: time.Now}} {
		for name, take := range map[string]func() (time.Duration, error){
			"more than the window holds": func() (time.Duration, error) { return q.Take(t.Context(), "k", 3, minute) },
			"nothing":                    func() (time.Duration, error) { return q.Take(t.Context(), "k", 0, minute) },
			"no window":                  func() (time.Duration, error) { return q.Take(t.Context(), "k", 1) },
			"windows out of order":       func() (time.Duration, error) { return q.Take(t.Context(), "k", 1, Window{9, time.Hour}, minute) },
		} {
			if _, err := take(); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	}
}
