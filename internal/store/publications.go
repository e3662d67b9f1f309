package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Publication states.
const (
	PubIntended = "intended"
	PubPushed   = "pushed"
	PubOpened   = "opened"
	PubAdopted  = "adopted"
	PubRefused  = "refused"
)

// ClaimPublication claims a fixed run for publishing. RefusedStale: it is not to be had.
func (s *Store) ClaimPublication(ctx context.Context, id, fence int64, holder string, ttl time.Duration) (claimed Run, refused string, err error) {
	row, err := s.q.ClaimPublication(ctx, db.ClaimPublicationParams{ID: id, Fence: fence, Holder: holder, TtlSeconds: ttl.Seconds()})
	if errors.Is(one(err), ErrNotFound) {
		return Run{}, RefusedStale, nil
	}
	if err != nil {
		return Run{}, "", fmt.Errorf("claim publication of run %d: %w", id, err)
	}
	claimed, err = decodeRun(row)
	return claimed, "", err
}

// Fix returns the verified patch of a run, or ErrNotFound.
func (s *Store) Fix(ctx context.Context, id int64) (db.Fix, error) {
	f, err := s.q.GetFix(ctx, id)
	if err != nil {
		return f, fmt.Errorf("fix of run %d: %w", id, one(err))
	}
	return f, nil
}

// Publication returns the publication of a run, or nil when there is none yet.
func (s *Store) Publication(ctx context.Context, id int64) (*db.Publication, error) {
	p, err := s.q.GetPublication(ctx, id)
	if errors.Is(one(err), ErrNotFound) {
		return nil, nil //nolint:nilnil // no publication yet is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("publication of run %d: %w", id, err)
	}
	return &p, nil
}

// Intent is the one pull request that a run may open.
type Intent struct {
	Digest     string
	Branch     string
	BaseBranch string
	CommitID   string
}

// Intend writes the intent before anything is pushed. When an earlier try has written one, that one is
// returned, unchanged: whoever retries adopts it.
func (s *Store) Intend(ctx context.Context, id, fence int64, i Intent) (db.Publication, error) {
	p, err := s.q.IntendPublication(ctx, db.IntendPublicationParams{
		RunID: id, Fence: fence, Digest: i.Digest, Branch: i.Branch, BaseBranch: i.BaseBranch, CommitID: i.CommitID,
	})
	if errors.Is(one(err), ErrNotFound) {
		return p, ErrFenced
	}
	if err != nil {
		return p, fmt.Errorf("intend publication of run %d: %w", id, err)
	}
	return p, nil
}

// Pushed records that the branch is on the forge.
func (s *Store) Pushed(ctx context.Context, id, fence int64) error {
	return changed(s.q.AdvancePublication(ctx, db.AdvancePublicationParams{RunID: id, Fence: fence, State: PubPushed}))
}

// Receipt is the pull request that a publication ended with.
type Receipt struct {
	// State is PubOpened or PubAdopted.
	State  string
	Number int64
	URL    string
}

// Publish records the receipt and ends the run, in one transaction.
func (s *Store) Publish(ctx context.Context, id, fence int64, r Receipt, e End) error {
	return s.inTx(ctx, "record publication", func(q *db.Queries) error {
		err := changed(q.AdvancePublication(ctx, db.AdvancePublicationParams{
			RunID: id, Fence: fence, State: r.State, PrNumber: &r.Number, PrUrl: &r.URL,
		}))
		if err != nil {
			return err
		}
		return changed(q.EndRun(ctx, endParams(id, fence, e)))
	})
}

// Refuse ends a run that must not or need not be published. An intent that was written is closed with it.
func (s *Store) Refuse(ctx context.Context, id, fence int64, e End) error {
	return s.inTx(ctx, "refuse publication", func(q *db.Queries) error {
		_, err := q.AdvancePublication(ctx, db.AdvancePublicationParams{RunID: id, Fence: fence, State: PubRefused, Reason: e.Reason})
		if err != nil {
			return err
		}
		return changed(q.EndRun(ctx, endParams(id, fence, e)))
	})
}

// GiveBackPublication hands a publication back, to be rung again after the delay.
func (s *Store) GiveBackPublication(ctx context.Context, id, fence int64, g GiveBack) error {
	return changed(s.q.GiveBackPublication(ctx, db.GiveBackPublicationParams{
		ID: id, Fence: fence, Explanation: g.Explanation, DelaySeconds: g.Delay.Seconds(), Transient: g.count(),
	}))
}
