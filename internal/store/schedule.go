package store

import (
	"context"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// RingDue marks due runs of repositories with a free slot as rung, at most n, and returns them in the order in which
// their doorbells have to go out: the first of each repository before the second of any.
func (s *Store) RingDue(ctx context.Context, perRepository int, n int32) ([]Run, error) {
	return decodeRuns(s.q.RingDue(ctx, db.RingDueParams{SlotLimit: int32(perRepository), MaxRows: n}))
}

// MendTurns gives a turn to every repository that should have one and has none, and returns how many. It finds some
// only after rows came in without triggers, as a restore does it.
func (s *Store) MendTurns(ctx context.Context, perRepository int) (int64, error) {
	return s.q.MendTurns(ctx, int32(perRepository))
}

// RingAgain marks rung runs that nobody has claimed for this long as rung once more.
func (s *Store) RingAgain(ctx context.Context, older time.Duration, n int32) ([]Run, error) {
	return decodeRuns(s.q.RingUnclaimed(ctx, db.RingUnclaimedParams{OlderSeconds: older.Seconds(), MaxRows: n}))
}

// RingFixed marks due fixes that no publisher has taken for this long as rung.
func (s *Store) RingFixed(ctx context.Context, older time.Duration, n int32) ([]Run, error) {
	return decodeRuns(s.q.RingFixed(ctx, db.RingFixedParams{OlderSeconds: older.Seconds(), MaxRows: n}))
}

// NextDue is how long it is until the scheduler has to look again, zero or less when at once; an hour when nothing
// waits for its time.
func (s *Store) NextDue(ctx context.Context) (time.Duration, error) {
	secs, err := s.q.NextDue(ctx)
	return time.Duration(secs * float64(time.Second)), err
}

// OldestDue is how long the run that has been due for longest has waited; 0 when none is due.
func (s *Store) OldestDue(ctx context.Context) (time.Duration, error) {
	secs, err := s.q.OldestDue(ctx)
	return time.Duration(secs * float64(time.Second)), err
}
