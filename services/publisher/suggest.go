package publisher

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/pulltext"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Why a run ends whose fix is not a pull request.
const (
	reasonSuggested       = "suggested"
	reasonSuggestedBefore = "suggested_before"
	reasonSuggestMode     = "suggest_mode"
)

// suggest writes the patch into one comment on the pull request whose branch failed. Nothing is pushed.
//
//	died before the intent      nothing has happened; begin again
//	died before the comment     the intent is adopted, with its mark; the comment is not there, and is written
//	died after the comment      it is found by its mark, which nobody could know before, and adopted
//	reply of the comment lost   as if died after it
func (s *Service) suggest(ctx context.Context, at Target, r store.Run, fix db.Fix, report evidence.Report, why string) (ending, error) {
	pr, err := s.discussed(ctx, at, r.Failure)
	if err != nil {
		return ending{}, err
	}
	if pr == nil {
		return refused(run.Declined, reasonSuggestMode, kept(why, r)), nil
	}
	row, err := s.Store.IntendSuggestion(ctx, r.ID, r.Fence, store.Suggestion{
		Digest: fix.Digest, PRNumber: int64(pr.Number), PRURL: pr.URL, Mark: mark(),
	})
	var told *store.SuggestionTakenError
	var no *store.FingerprintRefusedError
	switch {
	case errors.As(err, &told):
		return refused(run.Superseded, reasonSuggestedBefore, told.Error()), nil
	case errors.As(err, &no):
		return closedByPerson(no.PRURL), nil
	case err != nil:
		return ending{}, err
	}
	return s.comment(ctx, at, r, fix, report, row, why)
}

// comment finds the comment of an intent, or writes it.
func (s *Service) comment(ctx context.Context, at Target, r store.Run, fix db.Fix, report evidence.Report, row db.Suggestion, why string) (ending, error) {
	done := func(state, id string) ending {
		return ending{
			End:       store.End{State: run.Published, Reason: reasonSuggested, Explanation: "the patch is in a comment on " + row.PrUrl},
			suggested: &suggestion{state, id},
		}
	}
	all, err := at.Forge.Comments(ctx, at.Owner, at.Name, int(row.PrNumber))
	if err != nil {
		return ending{}, fmt.Errorf("look for our comment: %w", err)
	}
	for _, c := range all {
		if pulltext.Suggests(c.Body, row.Mark) {
			return done(store.SuggestionAdopted, c.ID), nil
		}
	}
	if err := afford(ctx, s.Writes, at, callsOfComment); err != nil {
		return ending{}, err
	}
	body := pulltext.Suggestion(told(r, fix, report), fix.Diff, why, row.Mark, markup.Of(at.Place.Forge))
	c, err := at.Forge.Comment(ctx, at.Owner, at.Name, int(row.PrNumber), body)
	if err != nil {
		return ending{}, fmt.Errorf("comment on %s: %w", row.PrUrl, err)
	}
	return done(store.SuggestionPosted, c.ID), nil
}

// discussed is the open pull request from the branch that failed, or nil.
func (s *Service) discussed(ctx context.Context, at Target, f ci.Failure) (*forge.PullRequest, error) {
	branch := f.Branch
	if f.FromFork() {
		owner, _, ok := strings.Cut(f.HeadRepository, "/")
		if !ok {
			return nil, nil //nolint:nilnil // where the code lives is not known by a name
		}
		branch = owner + ":" + f.Branch
	}
	prs, err := at.Forge.FindPullRequests(ctx, at.Owner, at.Name, branch)
	if err != nil {
		return nil, fmt.Errorf("look for the pull request of %s: %w", branch, err)
	}
	for _, pr := range prs {
		if pr.State == forge.Open {
			return &pr, nil
		}
	}
	return nil, nil //nolint:nilnil // none is an answer
}

func kept(why string, r store.Run) string {
	text := fmt.Sprintf("no pull request from %s is open that a comment could stand on; the patch is kept: sre-agent runs show %d --patch | git apply", r.Failure.Branch, r.ID)
	if why != "" {
		text = why + "; " + text
	}
	return text
}

func mark() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
