package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// States of a suggestion: the comment with a patch where no pull request is opened.
const (
	SuggestionIntended = "intended"
	SuggestionPosted   = "posted"
	SuggestionAdopted  = "adopted"
	SuggestionRefused  = "refused"
)

// Suggestion is the one comment that a run may write.
type Suggestion struct {
	Digest   string
	PRNumber int64
	PRURL    string
	// Mark is what the comment is found again by: 32 hexadecimal digits that nobody can know before it is there.
	Mark string
}

// SuggestionTakenError says that another run has told of the same trouble on the same pull request.
type SuggestionTakenError struct{ Holder db.Suggestion }

func (e *SuggestionTakenError) Error() string {
	return fmt.Sprintf("a comment of run %d on %s tells of the same trouble already", e.Holder.RunID, e.Holder.PrUrl)
}

// IntendSuggestion writes the intent before the comment. When an earlier try has written one, that one is returned,
// unchanged. A FingerprintRefusedError says that a person refused the trouble.
func (s *Store) IntendSuggestion(ctx context.Context, id, fence int64, n Suggestion) (db.Suggestion, error) {
	var row db.Suggestion
	err := s.inTx(ctx, "intend suggestion", func(q *db.Queries) error {
		var err error
		row, err = q.IntendSuggestion(ctx, db.IntendSuggestionParams{
			RunID: id, Fence: fence, Digest: n.Digest, PrNumber: n.PRNumber, PrUrl: n.PRURL, Mark: n.Mark,
		})
		if errors.Is(one(err), ErrNotFound) {
			return ErrFenced
		}
		if err != nil {
			return err
		}
		r, err := q.GetRefusal(ctx, row.Fingerprint)
		if errors.Is(one(err), ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return &FingerprintRefusedError{PRURL: r.PrUrl}
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.ConstraintName == "suggestions_told" {
		r, rerr := s.Run(ctx, id)
		if rerr != nil || r.Fingerprint == nil {
			return row, errors.Join(err, rerr)
		}
		holder, herr := s.q.SuggestionHolder(ctx, db.SuggestionHolderParams{PrUrl: n.PRURL, Fingerprint: *r.Fingerprint})
		if herr != nil {
			return row, fmt.Errorf("intend suggestion of run %d: %w", id, errors.Join(err, herr))
		}
		return row, &SuggestionTakenError{Holder: holder}
	}
	return row, err
}

// Suggest records the comment and ends the run, in one transaction. State is SuggestionPosted or SuggestionAdopted.
func (s *Store) Suggest(ctx context.Context, id, fence int64, state, commentID string, e End) error {
	return s.inTx(ctx, "record suggestion", func(q *db.Queries) error {
		err := changed(q.AdvanceSuggestion(ctx, db.AdvanceSuggestionParams{RunID: id, Fence: fence, State: state, CommentID: &commentID}))
		if err != nil {
			return err
		}
		return changed(q.EndRun(ctx, endParams(id, fence, e)))
	})
}

// Suggestion returns the suggestion of a run, or nil when there is none.
func (s *Store) Suggestion(ctx context.Context, id int64) (*db.Suggestion, error) {
	row, err := s.q.GetSuggestion(ctx, id)
	if errors.Is(one(err), ErrNotFound) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("suggestion of run %d: %w", id, err)
	}
	return &row, nil
}
