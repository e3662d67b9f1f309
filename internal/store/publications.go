package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sre-agent/sre-agent/internal/run"
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
	row, err := s.q.ClaimPublication(ctx, db.ClaimPublicationParams{ID: id, Fence: fence, Holder: holder, TtlSeconds: ttl.Seconds(), TraceParent: traceParent(ctx)})
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

// What is known of a publication's pull request.
const (
	PRNone   = "none"
	PROpen   = "open"
	PRClosed = "closed"
	PRMerged = "merged"
)

// Intent is the one pull request that a run may open.
type Intent struct {
	// Fingerprint is the run's own; the row has it.
	Fingerprint string
	Digest      string
	Branch      string
	BaseBranch  string
	CommitID    string
	// Incident is the same error and the same change wherever they come up, or empty.
	Incident string
	// Window is how long a pull request stands for its incident.
	Window time.Duration
	Caps   Caps
}

// FingerprintTakenError says that another publication stands for the same trouble already.
type FingerprintTakenError struct{ Holder db.Publication }

func (e *FingerprintTakenError) Error() string {
	if e.Holder.PrUrl != nil {
		return *e.Holder.PrUrl + " stands for the same trouble already"
	}
	return fmt.Sprintf("run %d publishes a fix of the same trouble", e.Holder.RunID)
}

// FingerprintRefusedError says that a person has refused to have this trouble mended.
type FingerprintRefusedError struct{ PRURL string }

func (e *FingerprintRefusedError) Error() string {
	return "a person closed " + e.PRURL + ", or took its merge back; that is taken as a no until somebody lifts it (sre-agent runs unblock)"
}

// Why a run ends whose trouble has its answer already.
const (
	ReasonPRClosed = "pull_request_closed"
	ReasonPROpen   = "pull_request_open"
)

// Intend writes the intent before anything is pushed. When an earlier try has written one, that one is
// returned, unchanged: whoever retries adopts it. A FingerprintTakenError says that another run stands for the
// same trouble, an IncidentError that one elsewhere does, a FingerprintRefusedError that a person refused it, and a
// CapError that it has to wait.
func (s *Store) Intend(ctx context.Context, id, fence int64, i Intent) (db.Publication, error) {
	var p db.Publication
	err := s.inTx(ctx, "intend", func(q *db.Queries) error {
		if err := restrain(ctx, q, id, i); err != nil {
			return err
		}
		var err error
		p, err = q.IntendPublication(ctx, db.IntendPublicationParams{
			RunID: id, Fence: fence, Digest: i.Digest, Branch: i.Branch, BaseBranch: i.BaseBranch, CommitID: i.CommitID, Incident: i.Incident,
		})
		if errors.Is(one(err), ErrNotFound) {
			return ErrFenced
		}
		if err != nil {
			return err
		}
		// Whoever refuses frees the fingerprint in the same transaction: when that let us in, we see the refusal here.
		r, err := q.GetRefusal(ctx, p.Fingerprint)
		if errors.Is(one(err), ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return &FingerprintRefusedError{PRURL: r.PrUrl}
	})
	if takenFingerprint(err) {
		holder, herr := s.q.FingerprintHolder(ctx, i.Fingerprint)
		if herr != nil {
			return p, fmt.Errorf("intend publication of run %d: %w", id, errors.Join(err, herr))
		}
		return p, &FingerprintTakenError{Holder: holder}
	}
	if err != nil {
		return p, fmt.Errorf("intend publication of run %d: %w", id, err)
	}
	return p, nil
}

// Pushed records that the branch is on the forge.
func (s *Store) Pushed(ctx context.Context, id, fence int64) error {
	return changed(s.q.AdvancePublication(ctx, db.AdvancePublicationParams{RunID: id, Fence: fence, State: PubPushed, PrState: PRNone}))
}

// Receipt is the pull request that a publication ended with.
type Receipt struct {
	// State is PubOpened or PubAdopted.
	State  string
	Number int64
	URL    string
	Merged bool
}

// Publish records the receipt and ends the run, in one transaction.
func (s *Store) Publish(ctx context.Context, id, fence int64, r Receipt, e End) error {
	pr := PROpen
	if r.Merged {
		pr = PRMerged
	}
	return s.inTx(ctx, "record publication", func(q *db.Queries) error {
		err := changed(q.AdvancePublication(ctx, db.AdvancePublicationParams{
			RunID: id, Fence: fence, State: r.State, PrNumber: &r.Number, PrUrl: &r.URL, PrState: pr,
		}))
		if err != nil {
			return err
		}
		return changed(q.EndRun(ctx, endParams(id, fence, e)))
	})
}

// Refuse ends a run that must not or need not be published. An intent that was written is closed with it. With
// closedPR, the address of a pull request that a person closed, the run's fingerprint is refused until somebody
// lifts that, and the publication of that pull request no longer stands for it: both or neither, so that there is no
// moment at which another one could be opened.
func (s *Store) Refuse(ctx context.Context, id, fence int64, e End, closedPR string) error {
	return s.inTx(ctx, "refuse publication", func(q *db.Queries) error {
		if err := refuse(ctx, q, id, fence, e); err != nil {
			return err
		}
		r, err := q.GetRun(ctx, id)
		if err != nil || closedPR == "" || r.Fingerprint == nil || *r.Fingerprint == "" {
			return err
		}
		if err := q.ClosePublicationsOf(ctx, closedPR); err != nil {
			return err
		}
		return q.Refuse(ctx, db.RefuseParams{Fingerprint: *r.Fingerprint, RunID: id, PrUrl: closedPR})
	})
}

// refuse closes what was intended for a run, and ends it.
func refuse(ctx context.Context, q *db.Queries, id, fence int64, e End) error {
	_, err := q.AdvancePublication(ctx, db.AdvancePublicationParams{RunID: id, Fence: fence, State: PubRefused, Reason: e.Reason, PrState: PRNone})
	if err != nil {
		return err
	}
	_, err = q.AdvanceSuggestion(ctx, db.AdvanceSuggestionParams{RunID: id, Fence: fence, State: SuggestionRefused, Reason: e.Reason})
	if err != nil {
		return err
	}
	return changed(q.EndRun(ctx, endParams(id, fence, e)))
}

// Refused returns the address of the pull request whose closing refused a fingerprint, or "" when none did.
func (s *Store) Refused(ctx context.Context, fingerprint string) (string, error) {
	r, err := s.q.GetRefusal(ctx, fingerprint)
	if errors.Is(one(err), ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("refusal of a fingerprint: %w", err)
	}
	return r.PrUrl, nil
}

// Holder returns the publication that stands for a fingerprint, its pull request open or on its way when last heard
// of, or nil when none does.
func (s *Store) Holder(ctx context.Context, fingerprint string) (*db.Publication, error) {
	p, err := s.q.FingerprintHolder(ctx, fingerprint)
	if errors.Is(one(err), ErrNotFound) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("publication of a fingerprint: %w", err)
	}
	return &p, nil
}

// Merged is how many pull requests for a fingerprint were merged so far.
func (s *Store) Merged(ctx context.Context, fingerprint string) (int64, error) {
	return s.q.CountMerged(ctx, fingerprint)
}

// ClosedPublications returns the newest publications of a fingerprint, at most n, whose pull request was closed when
// last heard of: a person may have opened it again since.
func (s *Store) ClosedPublications(ctx context.Context, fingerprint string, n int32) ([]db.Publication, error) {
	return s.q.ClosedPublications(ctx, db.ClosedPublicationsParams{Fingerprint: fingerprint, MaxRows: n})
}

// SetPRState records what became of a publication's pull request: PROpen, PRClosed or PRMerged. A pull request that
// was opened again while another one stands for its fingerprint stays as it was.
func (s *Store) SetPRState(ctx context.Context, p db.Publication, state string) error {
	_, err := s.q.SetPRState(ctx, db.SetPRStateParams{RunID: p.RunID, Generation: p.Generation, PrState: state})
	if takenFingerprint(err) {
		return nil
	}
	return err
}

// takenFingerprint says whether the schema refused a second publication to stand for a fingerprint.
func takenFingerprint(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == "publications_fingerprint"
}

// GiveBackPublication hands a publication back, to be rung again after the delay. One that a cap stands against
// (run.WaitPRCap) waits with that reason and keeps its fix.
func (s *Store) GiveBackPublication(ctx context.Context, id, fence int64, g GiveBack) error {
	if g.Reason == run.WaitPRCap {
		return changed(s.q.WaitForCap(ctx, db.WaitForCapParams{ID: id, Fence: fence, Explanation: g.Explanation, DelaySeconds: g.Delay.Seconds()}))
	}
	return changed(s.q.GiveBackPublication(ctx, db.GiveBackPublicationParams{
		ID: id, Fence: fence, Explanation: g.Explanation, DelaySeconds: g.Delay.Seconds(), Transient: g.count(),
	}))
}
