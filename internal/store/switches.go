package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// ReasonRepositoryOff is why nothing is done for a repository that a person has switched off.
const ReasonRepositoryOff = "repository_off"

// SwitchedOff says who has switched a run's repository off and why, or is nil when nobody has.
func (s *Store) SwitchedOff(ctx context.Context, runID int64) (*db.Switch, error) {
	row, err := s.q.SwitchedOff(ctx, runID)
	if errors.Is(one(err), ErrNotFound) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("switch of the repository of run %d: %w", runID, err)
	}
	return &row, nil
}

// Switch switches a repository on or off, records who did it and why, and says whether that changed anything.
func (s *Store) Switch(ctx context.Context, repositoryID int64, on bool, by Actor) (changed bool, err error) {
	if by.Who == "" || by.Why == "" {
		return false, &ActionError{"no_reason_given", "an action needs to say who and why"}
	}
	err = s.inTx(ctx, "switch repository", func(q *db.Queries) error {
		var n int64
		operation := OpOff
		if on {
			operation = OpOn
			n, err = q.SwitchOn(ctx, db.SwitchOnParams{RepositoryID: repositoryID, Who: by.Who, Why: by.Why})
		} else {
			n, err = switchOff(ctx, q, repositoryID, by)
		}
		if changed = n > 0; err != nil || !changed {
			return err
		}
		return recordOperation(ctx, q, operation, &repositoryID, by, map[string]bool{"on": !on}, map[string]bool{"on": on})
	})
	return changed, err
}

// switchOff ends what has not begun yet, and has the open pull requests looked at. What is being worked on ends before it
// is published.
func switchOff(ctx context.Context, q *db.Queries, repositoryID int64, by Actor) (int64, error) {
	n, err := q.SwitchOff(ctx, db.SwitchOffParams{RepositoryID: repositoryID, Who: by.Who, Why: by.Why})
	if err != nil || n == 0 {
		return n, err
	}
	if err := q.CancelWaiting(ctx, db.CancelWaitingParams{
		RepositoryID: repositoryID, Reason: ReasonRepositoryOff, Explanation: "the repository was switched off by " + by.Who + ": " + by.Why,
	}); err != nil {
		return n, err
	}
	return n, q.RingRepository(ctx, repositoryID)
}
