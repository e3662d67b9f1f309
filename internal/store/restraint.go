package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Caps bound what one repository is asked to look at; zero is no bound.
type Caps struct {
	// Open is how many pull requests may be open or on their way, PerHour how many may be begun in an hour.
	Open, PerHour int
	// Gone are runs whose pull request is open by the record, and not by the forge.
	Gone []int64
}

// CapError says that one more pull request would be too many just now.
type CapError struct {
	Caps
	// Standing is how many are open or on their way, Recent how many were begun in the last hour.
	Standing, Recent int64
	// Full says that it is Open which stands against it: only the end of one of them helps.
	Full bool
	// After is how long it is until the hour lets the next one through.
	After time.Duration
}

func (e *CapError) Error() string {
	if e.Full {
		return fmt.Sprintf("%d pull requests of ours are open in this repository; the cap is %d", e.Standing, e.Open)
	}
	return fmt.Sprintf("%d pull requests of ours were opened in this repository in the last hour; the cap is %d", e.Recent, e.PerHour)
}

// IncidentError says that another run's publication stands for the same incident.
type IncidentError struct{ Holder db.Publication }

func (e *IncidentError) Error() string {
	if e.Holder.PrUrl != nil {
		return *e.Holder.PrUrl + " makes the same change for the same error"
	}
	return fmt.Sprintf("run %d publishes the same change for the same error", e.Holder.RunID)
}

// restrain refuses a first intent that is over a cap or belongs to an incident that has its pull request. Its locks are
// held until the transaction ends, so that what was counted is still so when the intent is there.
func restrain(ctx context.Context, q *db.Queries, id, fence int64, i Intent) error {
	raw, err := q.IntentRestraint(ctx, db.IntentRestraintParams{
		ID: id, Fence: fence, Incident: i.Incident, IncidentSeconds: i.Window.Seconds(), MaxOpen: int32(i.Caps.Open), MaxHour: int32(i.Caps.PerHour),
		Gone: append([]int64{}, i.Caps.Gone...),
	})
	if err != nil {
		return err
	}
	var found struct {
		Leader           int64   `json:"leader"`
		LeaderGeneration int32   `json:"leader_generation"`
		Standing         int64   `json:"standing"`
		Recent           int64   `json:"recent"`
		After            float64 `json:"after"`
	}
	if err := json.Unmarshal(raw, &found); err != nil {
		return err
	}
	switch {
	case found.Leader != 0:
		p, err := q.GetPublicationOf(ctx, db.GetPublicationOfParams{RunID: found.Leader, Generation: found.LeaderGeneration})
		if err != nil {
			return err
		}
		return &IncidentError{Holder: p}
	case found.Standing+found.Recent > 0:
		return &CapError{
			Caps: i.Caps, Standing: found.Standing, Recent: found.Recent, Full: i.Caps.Open > 0 && found.Standing >= int64(i.Caps.Open),
			After: time.Duration(found.After * float64(time.Second)),
		}
	}
	return nil
}

// OpenPublications returns a repository's publications whose pull request was open when last heard of, the oldest first,
// at most n.
func (s *Store) OpenPublications(ctx context.Context, repository int64, n int32) ([]db.Publication, error) {
	return s.q.OpenPublications(ctx, db.OpenPublicationsParams{RepositoryID: repository, MaxRows: n})
}

// Follow ends a run whose trouble another run's pull request stands for, and links the two.
func (s *Store) Follow(ctx context.Context, id, fence, leader int64, e End) error {
	return s.inTx(ctx, "follow", func(q *db.Queries) error {
		if err := changed(q.FollowRun(ctx, db.FollowRunParams{ID: id, Fence: fence, Leader: leader})); err != nil {
			return err
		}
		return refuse(ctx, q, id, fence, e)
	})
}

// ResumeFix hands a run that was put off with its verified fix back to the publisher, without an attempt. It says
// whether that was the case.
func (s *Store) ResumeFix(ctx context.Context, id, fence int64) (Run, bool, error) {
	row, err := s.q.ResumeFix(ctx, db.ResumeFixParams{ID: id, Fence: fence})
	if errors.Is(one(err), ErrNotFound) {
		return Run{}, false, nil
	}
	if err != nil {
		return Run{}, false, fmt.Errorf("resume the fix of run %d: %w", id, err)
	}
	r, err := decodeRun(row)
	return r, err == nil, err
}

// Acceptance is what became of a repository's pull requests about one class of failure.
type Acceptance = db.AcceptanceRow

// Acceptance counts a repository's pull requests about one class of failure in the last days, and those that a person
// closed or whose merge a person took back.
func (s *Store) Acceptance(ctx context.Context, repository int64, class string, days int) (Acceptance, error) {
	return s.q.Acceptance(ctx, db.AcceptanceParams{RepositoryID: repository, Class: cmp.Or(class, "unknown"), Days: int32(days)})
}

// RefuseReverted records that a person took back the merge of a publication's pull request: its fingerprint is refused
// until somebody lifts that. Whoever notices twice changes nothing the second time; ErrNotFound: it is not merged.
func (s *Store) RefuseReverted(ctx context.Context, runID int64, generation int32) error {
	return s.inTx(ctx, "refuse what was reverted", func(q *db.Queries) error { return refuseReverted(ctx, q, runID, generation) })
}

func refuseReverted(ctx context.Context, q *db.Queries, runID int64, generation int32) error {
	p, err := q.RevertPublication(ctx, db.RevertPublicationParams{RunID: runID, Generation: generation})
	if errors.Is(one(err), ErrNotFound) {
		p, err = q.GetPublicationOf(ctx, db.GetPublicationOfParams{RunID: runID, Generation: generation})
		if err == nil && p.RevertedAt == nil {
			return ErrNotFound
		}
		return one(err)
	}
	if err != nil || p.Fingerprint == "" {
		return err
	}
	return q.Refuse(ctx, db.RefuseParams{Fingerprint: p.Fingerprint, RunID: runID, PrUrl: *p.PrUrl})
}
