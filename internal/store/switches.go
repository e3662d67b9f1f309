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

// OffRepository is a repository that is switched off.
type OffRepository = db.SwitchedOffRepositoriesRow

// OffRepositories lists the repositories that are switched off, the oldest first.
func (s *Store) OffRepositories(ctx context.Context) ([]OffRepository, error) {
	rows, err := s.q.SwitchedOffRepositories(ctx)
	if err != nil {
		return nil, fmt.Errorf("list repositories that are off: %w", err)
	}
	return rows, nil
}

// Switch switches the repositories of a name on or off, whichever provider told of them, and returns how many that
// changed. ErrNotFound: there is none of that name.
func (s *Store) Switch(ctx context.Context, owner, name string, on bool, by Actor) (int, error) {
	if by.Who == "" || by.Why == "" {
		return 0, &ActionError{"no_reason_given", "an action needs to say who and why"}
	}
	changed := 0
	err := s.inTx(ctx, "switch repository", func(q *db.Queries) error {
		changed = 0
		repos, err := q.RepositoriesNamed(ctx, db.RepositoriesNamedParams{Owner: owner, Name: name})
		if err != nil {
			return err
		}
		if len(repos) == 0 {
			return fmt.Errorf("repository %s/%s: %w", owner, name, ErrNotFound)
		}
		for _, r := range repos {
			var n int64
			if on {
				n, err = q.SwitchOn(ctx, db.SwitchOnParams{RepositoryID: r.ID, Who: by.Who, Why: by.Why})
			} else {
				n, err = switchOff(ctx, q, r.ID, by)
			}
			if err != nil {
				return err
			}
			changed += int(n)
		}
		return nil
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
