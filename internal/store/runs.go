package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Run is a run's row with its failure decoded.
type Run struct {
	db.Run
	Failure ci.Failure
}

func decodeRun(row db.Run) (Run, error) {
	r := Run{Run: row}
	if err := json.Unmarshal(row.Failure, &r.Failure); err != nil {
		return Run{}, fmt.Errorf("run %d: read its failure: %w", row.ID, err)
	}
	return r, nil
}

func decodeRuns(rows []db.Run, err error) ([]Run, error) {
	if err != nil {
		return nil, err
	}
	runs := make([]Run, 0, len(rows))
	for _, row := range rows {
		r, err := decodeRun(row)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// Run returns the run with this id, or ErrNotFound.
func (s *Store) Run(ctx context.Context, id int64) (Run, error) {
	row, err := s.q.GetRun(ctx, id)
	if err != nil {
		return Run{}, fmt.Errorf("run %d: %w", id, one(err))
	}
	return decodeRun(row)
}

// Runs lists the newest runs, at most n, in one state or (with "") in any.
func (s *Store) Runs(ctx context.Context, state string, n int32) ([]Run, error) {
	rows, err := s.q.ListRuns(ctx, db.ListRunsParams{State: state, MaxRows: n})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	bare := make([]db.Run, 0, len(rows))
	for _, r := range rows {
		bare = append(bare, r.Run)
	}
	return decodeRuns(bare, nil)
}

// History is all that is recorded about one run.
type History struct {
	Run         Run
	Deliveries  []db.Delivery
	Attempts    []db.Attempt
	Fix         *db.Fix
	Publication *db.Publication
	Suggestion  *db.Suggestion
	Actions     []db.Action
	Rerun       *db.Rerun
	// Followers are the runs whose trouble this one's pull request stands for too.
	Followers []int64
}

// History returns all that is recorded about a run.
func (s *Store) History(ctx context.Context, id int64) (History, error) {
	var h History
	var err error
	if h.Run, err = s.Run(ctx, id); err != nil {
		return h, err
	}
	if h.Deliveries, err = s.q.DeliveriesOfRun(ctx, &id); err != nil {
		return h, fmt.Errorf("deliveries of run %d: %w", id, err)
	}
	if h.Attempts, err = s.q.AttemptsOfRun(ctx, id); err != nil {
		return h, fmt.Errorf("attempts of run %d: %w", id, err)
	}
	if fix, err := s.q.GetFix(ctx, id); err == nil {
		h.Fix = &fix
	} else if !errors.Is(one(err), ErrNotFound) {
		return h, fmt.Errorf("fix of run %d: %w", id, err)
	}
	if h.Publication, err = s.Publication(ctx, id); err != nil {
		return h, err
	}
	if h.Rerun, err = s.Rerun(ctx, id); err != nil {
		return h, err
	}
	if h.Suggestion, err = s.Suggestion(ctx, id); err != nil {
		return h, err
	}
	if h.Followers, err = s.q.Followers(ctx, id); err != nil {
		return h, fmt.Errorf("followers of run %d: %w", id, err)
	}
	if h.Actions, err = s.q.ActionsOfRun(ctx, id); err != nil {
		return h, fmt.Errorf("actions on run %d: %w", id, err)
	}
	return h, nil
}

// RunCount is how many runs are in a state for a reason.
type RunCount = db.CountRunsRow

// RunCounts counts the runs by state and reason.
func (s *Store) RunCounts(ctx context.Context) ([]RunCount, error) { return s.q.CountRuns(ctx) }

// TakeBack takes back every run whose holder has not renewed its lease in time, and returns the runs as they
// are afterwards. A runner's attempt has crashed and counts; a publisher's publication is rung again.
func (s *Store) TakeBack(ctx context.Context, limits run.Limits, n int32) ([]Run, error) {
	var ids []int64
	err := s.inTx(ctx, "take back expired leases", func(q *db.Queries) error {
		ids = nil
		expired, err := q.TakeExpired(ctx, db.TakeExpiredParams{GraceSeconds: limits.Lease.Seconds(), MaxRows: n})
		if err != nil {
			return err
		}
		for _, r := range expired {
			if err := takeBack(ctx, q, r, limits); err != nil {
				return fmt.Errorf("run %d: %w", r.ID, err)
			}
			ids = append(ids, r.ID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	runs := make([]Run, 0, len(ids))
	for _, id := range ids {
		r, err := s.Run(ctx, id)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

func takeBack(ctx context.Context, q *db.Queries, r db.Run, limits run.Limits) error {
	if run.State(r.State) == run.Publishing {
		return changed(q.GiveBackPublication(ctx, db.GiveBackPublicationParams{
			ID: r.ID, Fence: r.Fence, Explanation: "the publisher stopped without a word", Transient: 0,
		}))
	}
	err := changed(q.EndAttempt(ctx, db.EndAttemptParams{
		RunID: r.ID, Fence: r.Fence, Outcome: "crashed", Reason: "lease_expired", Evidence: json.RawMessage("{}"),
	}))
	if err != nil {
		return err
	}
	made := int(r.AttemptCount - r.AttemptsForgiven)
	if made >= limits.MaxAttempts {
		return changed(q.EndRun(ctx, db.EndRunParams{
			ID: r.ID, Fence: r.Fence, State: string(run.Blocked), Reason: run.EndMaxAttempts,
			Explanation: fmt.Sprintf("%d attempts were made and each one stopped without a result", r.AttemptCount),
		}))
	}
	return changed(q.WaitForRetry(ctx, db.WaitForRetryParams{
		ID: r.ID, Fence: r.Fence, CooldownSeconds: limits.Cooldown.Seconds(),
		BackoffSeconds: limits.Backoff(made).Seconds(),
	}))
}
