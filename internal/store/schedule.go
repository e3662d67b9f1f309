package store

import (
	"context"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// RingDue marks due runs of repositories with a free slot as rung, at most n, and returns them: a doorbell has
// to go out for each.
func (s *Store) RingDue(ctx context.Context, perRepository int, n int32) ([]Run, error) {
	return decodeRuns(s.q.RingDue(ctx, db.RingDueParams{SlotLimit: int64(perRepository), MaxRows: n}))
}

// RingAgain marks rung runs that nobody has claimed for this long as rung once more.
func (s *Store) RingAgain(ctx context.Context, older time.Duration, n int32) ([]Run, error) {
	return decodeRuns(s.q.RingUnclaimed(ctx, db.RingUnclaimedParams{OlderSeconds: older.Seconds(), MaxRows: n}))
}

// RingFixed marks due fixes that no publisher has taken for this long as rung.
func (s *Store) RingFixed(ctx context.Context, older time.Duration, n int32) ([]Run, error) {
	return decodeRuns(s.q.RingFixed(ctx, db.RingFixedParams{OlderSeconds: older.Seconds(), MaxRows: n}))
}

// NextDue is how long it is until something that waits falls due; an hour when nothing does.
func (s *Store) NextDue(ctx context.Context) (time.Duration, error) {
	secs, err := s.q.NextDue(ctx)
	return time.Duration(secs * float64(time.Second)), err
}

// OldestDue is how long the run that has been due for longest has waited; 0 when none is due.
func (s *Store) OldestDue(ctx context.Context) (time.Duration, error) {
	secs, err := s.q.OldestDue(ctx)
	return time.Duration(secs * float64(time.Second)), err
}
