package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// States of the wish for one more run by the provider.
const (
	RerunWanted   = "wanted"
	RerunIntended = "intended"
	RerunAsked    = "asked"
	RerunRefused  = "refused"
)

// ClaimRerun takes the wish that has been due for longest, for the length of ttl, or returns nil when none is due.
func (s *Store) ClaimRerun(ctx context.Context, ttl time.Duration) (*db.Rerun, error) {
	r, err := s.q.ClaimRerun(ctx, ttl.Seconds())
	if errors.Is(one(err), ErrNotFound) {
		return nil, nil //nolint:nilnil // nothing due is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("claim a rerun: %w", err)
	}
	return &r, nil
}

// IntendRerun writes, before the provider is asked, at which of its attempts the run is. ErrFenced: it is not ours.
func (s *Store) IntendRerun(ctx context.Context, r db.Rerun, attempt int) error {
	return changed(s.q.IntendRerun(ctx, db.IntendRerunParams{RunID: r.RunID, Fence: r.Fence, Attempt: int32(attempt)}))
}

// DelayRerun hands a wish back: it is looked at again after the delay.
func (s *Store) DelayRerun(ctx context.Context, r db.Rerun, reason string, delay time.Duration) error {
	return changed(s.q.DelayRerun(ctx, db.DelayRerunParams{RunID: r.RunID, Fence: r.Fence, Reason: reason, DelaySeconds: delay.Seconds()}))
}

// EndRerun writes that the provider was asked, or why it will not be.
func (s *Store) EndRerun(ctx context.Context, r db.Rerun, state, reason string) error {
	return changed(s.q.EndRerun(ctx, db.EndRerunParams{RunID: r.RunID, Fence: r.Fence, State: state, Reason: reason}))
}

// Rerun is the wish of a run, or nil when it has none.
func (s *Store) Rerun(ctx context.Context, id int64) (*db.Rerun, error) {
	r, err := s.q.GetRerun(ctx, id)
	if errors.Is(one(err), ErrNotFound) {
		return nil, nil //nolint:nilnil // no wish is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("rerun of run %d: %w", id, err)
	}
	return &r, nil
}
