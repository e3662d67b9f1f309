package notify

import (
	"sync"
	"time"
)

// limit lets so many through in each minute, counted from the first of them, and counts the others.
type limit struct {
	now  func() time.Time
	most int

	mu    sync.Mutex
	since time.Time
	used  int
	left  int
}

func newLimit(most int, now func() time.Time) *limit { return &limit{now: now, most: max(most, 1)} }

// take says whether one may go, and how many were left out before it.
func (l *limit) take() (ok bool, left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.since) >= time.Minute {
		l.since, l.used = now, 0
	}
	if l.used >= l.most {
		l.left++
		return false, 0
	}
	l.used++
	left, l.left = l.left, 0
	return true, left
}
