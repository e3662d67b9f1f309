package lease

import (
	"context"
	"sync"
	"time"
)

// LocalQuota is a Quota of one process alone, for when the shared one can't be asked.
type LocalQuota struct {
	// Now is the clock.
	Now func() time.Time

	mu    sync.Mutex
	taken map[string][]time.Time
}

// Take is as Quota's.
func (q *LocalQuota) Take(_ context.Context, key string, n int, windows ...Window) (time.Duration, error) {
	if err := fits(n, windows); err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.Now()
	longest := windows[len(windows)-1].Per
	kept := q.taken[key]
	for len(kept) > 0 && !kept[0].After(now.Add(-longest)) {
		kept = kept[1:]
	}
	wait := time.Duration(0)
	for _, w := range windows {
		inside := kept
		for len(inside) > 0 && !inside[0].After(now.Add(-w.Per)) {
			inside = inside[1:]
		}
		if over := len(inside) + n - w.Most; over > 0 {
			wait = max(wait, inside[over-1].Add(w.Per).Sub(now))
		}
	}
	if wait == 0 {
		for range n {
			kept = append(kept, now)
		}
	}
	if q.taken == nil {
		q.taken = map[string][]time.Time{}
	}
	q.taken[key] = kept
	return wait, nil
}
