package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Caps bound what one repository is asked to look at; zero is no bound.
type Caps struct {
	// Open is how many pull requests may be open or on their way, PerHour how many may be begun in an hour.
	Open, PerHour int
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

// IncidentWindow is how long a pull request stands for the same trouble elsewhere.
const IncidentWindow = 24 * time.Hour

// IncidentError says that another run's publication stands for the same incident.
type IncidentError struct{ Holder db.Publication }

func (e *IncidentError) Error() string {
	if e.Holder.PrUrl != nil {
		return *e.Holder.PrUrl + " makes the same change for the same error"
	}
	return fmt.Sprintf("run %d publishes the same change for the same error", e.Holder.RunID)
}

// restrain refuses a first intent that is over a cap or belongs to an incident that has its pull request. It holds the
// locks until the transaction ends, so that what it counted is still so when the intent is there.
func restrain(ctx context.Context, q *db.Queries, id int64, i Intent) error {
	_, err := q.GetPublication(ctx, id)
	if !errors.Is(one(err), ErrNotFound) {
		return err // an intent that is there was let through once
	}
	r, err := q.GetRun(ctx, id)
	if err != nil {
		return err
	}
	if i.Caps != (Caps{}) {
		if err := underCaps(ctx, q, r.RepositoryID, i.Caps); err != nil {
			return err
		}
	}
	if i.Incident == "" {
		return nil
	}
	if err := q.LockIncident(ctx, i.Incident); err != nil {
		return err
	}
	p, err := q.FindIncident(ctx, db.FindIncidentParams{Incident: i.Incident, RunID: id, WindowSeconds: IncidentWindow.Seconds()})
	if errors.Is(one(err), ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return &IncidentError{Holder: p}
}

func underCaps(ctx context.Context, q *db.Queries, repository int64, c Caps) error {
	if err := q.LockRepositoryIntents(ctx, repository); err != nil {
		return err
	}
	n, err := q.CountPullRequests(ctx, repository)
	if err != nil {
		return err
	}
	over := &CapError{Caps: c, Standing: n.Standing, Recent: n.Recent, Full: c.Open > 0 && n.Standing >= int64(c.Open)}
	if c.PerHour > 0 && n.Recent >= int64(c.PerHour) {
		seconds, err := q.NextOfHour(ctx, db.NextOfHourParams{RepositoryID: repository, Nth: int32(c.PerHour - 1)})
		if err != nil {
			return err
		}
		over.After = time.Duration(seconds * float64(time.Second))
	} else if !over.Full {
		return nil
	}
	return over
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

// Acceptance is what became of a repository's pull requests by one fixer.
type Acceptance = db.AcceptanceRow

// Acceptance counts a repository's pull requests by one fixer in the last days, and those that a person closed or whose
// merge a person took back.
func (s *Store) Acceptance(ctx context.Context, repository int64, fixer string, days int) (Acceptance, error) {
	return s.q.Acceptance(ctx, db.AcceptanceParams{RepositoryID: repository, Fixer: fixer, Days: int32(days)})
}

// RefuseReverted records that a person took back the merge of a publication's pull request: its fingerprint is refused
// until somebody lifts that. Whoever notices twice changes nothing the second time; ErrNotFound: it is not merged.
func (s *Store) RefuseReverted(ctx context.Context, runID int64, generation int32) error {
	return s.inTx(ctx, "refuse what was reverted", func(q *db.Queries) error {
		before, err := q.GetPublicationOf(ctx, db.GetPublicationOfParams{RunID: runID, Generation: generation})
		if err != nil {
			return one(err)
		}
		p, err := q.RevertPublication(ctx, db.RevertPublicationParams{RunID: runID, Generation: generation})
		if err != nil || before.RevertedAt != nil || p.Fingerprint == "" {
			return one(err)
		}
		return q.Refuse(ctx, db.RefuseParams{Fingerprint: p.Fingerprint, RunID: runID, PrUrl: *p.PrUrl})
	})
}
