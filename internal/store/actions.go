package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Actor is the person behind an action, and the reason that the person gives.
type Actor struct{ Who, Why string }

// ActionError says why a run's state does not allow an action. Reason is from a small closed set: published,
// active, publishing, ended, not_blocked, no_reason_given.
type ActionError struct{ Reason, Message string }

func (e *ActionError) Error() string { return e.Message }

// CancelRun ends a run by a person's wish. Whoever holds it loses it: the fence grows.
func (s *Store) CancelRun(ctx context.Context, id int64, a Actor) (Run, error) {
	return s.act(ctx, id, "cancel", a, func(q *db.Queries, r db.Run) error {
		switch {
		case run.State(r.State).Ended():
			return &ActionError{"ended", fmt.Sprintf("run %d has ended already: %s(%s)", id, r.State, r.Reason)}
		case run.State(r.State) == run.Publishing:
			return &ActionError{"publishing", fmt.Sprintf("run %d is opening its pull request right now: close that instead", id)}
		}
		// Once our branch is on the forge, the pull request may be open too, though nobody has heard of it: cancelling
		// would free its fingerprint for a second one.
		p, err := q.GetPublication(ctx, id)
		if err == nil && p.State == PubPushed {
			return &ActionError{"publishing", fmt.Sprintf("run %d has pushed %s, and its pull request may be open: it is about to be found", id, p.Branch)}
		}
		if err != nil && !errors.Is(one(err), ErrNotFound) {
			return err
		}
		if err := q.CancelAttempt(ctx, id); err != nil {
			return err
		}
		if err := q.CancelPublication(ctx, id); err != nil {
			return err
		}
		if err := q.CancelSuggestion(ctx, id); err != nil {
			return err
		}
		return q.CancelRun(ctx, db.CancelRunParams{ID: id, Explanation: "cancelled by " + a.Who + ": " + a.Why})
	})
}

// RetryRun has an ended run tried again from the beginning, or a waiting one at once. Earlier attempts no longer
// count against the cap. A refusal of its fingerprint stands: see UnblockRun.
func (s *Store) RetryRun(ctx context.Context, id int64, a Actor) (Run, error) {
	return s.act(ctx, id, "retry", a, func(q *db.Queries, r db.Run) error { return tryAgain(ctx, q, r) })
}

// UnblockRun lifts the refusal of a run's fingerprint and has the run tried again.
func (s *Store) UnblockRun(ctx context.Context, id int64, a Actor) (Run, error) {
	return s.act(ctx, id, "unblock", a, func(q *db.Queries, r db.Run) error {
		lifted := int64(0)
		if r.Fingerprint != nil {
			var err error
			lifted, err = q.LiftRefusal(ctx, db.LiftRefusalParams{Fingerprint: *r.Fingerprint, LiftedBy: a.Who, LiftedWhy: a.Why})
			if err != nil {
				return err
			}
		}
		if lifted == 0 && run.State(r.State) != run.Blocked {
			return &ActionError{"not_blocked", fmt.Sprintf("run %d is not blocked: it is %s(%s)", id, r.State, r.Reason)}
		}
		return tryAgain(ctx, q, r)
	})
}

func tryAgain(ctx context.Context, q *db.Queries, r db.Run) error {
	switch st := run.State(r.State); {
	case st == run.Published:
		return &ActionError{"published", fmt.Sprintf("run %d has its pull request", r.ID)}
	case st != run.Waiting && !st.Ended():
		return &ActionError{"active", fmt.Sprintf("run %d is being worked on: %s", r.ID, r.State)}
	}
	return begin(ctx, q, r)
}

// begin has a run that nobody works on begin again, or go on at once.
func begin(ctx context.Context, q *db.Queries, r db.Run) error {
	if r.State == string(run.Waiting) && r.Reason == run.WaitPRCap {
		return q.HurryRun(ctx, r.ID) // it has its fix
	}
	return q.TryAgain(ctx, r.ID)
}

// act does something to a run under its row's lock, and records who did it and why, in one transaction.
func (s *Store) act(ctx context.Context, id int64, action string, a Actor, f func(*db.Queries, db.Run) error) (Run, error) {
	if a.Who == "" || a.Why == "" {
		return Run{}, &ActionError{"no_reason_given", "an action needs to say who and why"}
	}
	var after db.Run
	err := s.inTx(ctx, action+" run", func(q *db.Queries) error {
		r, err := q.LockRun(ctx, id)
		if err != nil {
			return fmt.Errorf("run %d: %w", id, one(err))
		}
		if err := f(q, r); err != nil {
			return err
		}
		err = q.RecordAction(ctx, db.RecordActionParams{
			RunID: id, Action: action, Who: a.Who, Why: a.Why, BeforeState: r.State, BeforeReason: r.Reason,
		})
		if err != nil {
			return err
		}
		after, err = q.GetRun(ctx, id)
		return err
	})
	if err != nil {
		return Run{}, err
	}
	return decodeRun(after)
}

// Checkpoint is how far a job that walks a stream has come; 0 when it never ran.
func (s *Store) Checkpoint(ctx context.Context, name string) (int64, error) {
	pos, err := s.q.GetCheckpoint(ctx, name)
	if errors.Is(one(err), ErrNotFound) {
		return 0, nil
	}
	return pos, err
}

// SetCheckpoint records how far a job has come.
func (s *Store) SetCheckpoint(ctx context.Context, name string, position int64) error {
	return s.q.SetCheckpoint(ctx, db.SetCheckpointParams{Name: name, Position: position})
}

// KnownDeliveries returns which of the delivery ids have a record.
func (s *Store) KnownDeliveries(ctx context.Context, provider string, ids []string) (map[string]bool, error) {
	rows, err := s.q.KnownDeliveries(ctx, db.KnownDeliveriesParams{Provider: provider, Ids: ids})
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(rows))
	for _, id := range rows {
		known[id] = true
	}
	return known, nil
}
