package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Watch is a pull request of ours that is looked at, from the hands of whoever holds it.
type Watch struct {
	db.Watch
	// Run is the run whose pull request it is. It may be in another generation by now.
	Run         Run
	Publication db.Publication
	Commands    []db.Command
}

// ringSpacing is the least time between two looks at one pull request, however often webhooks ask for one.
const ringSpacing = 5 * time.Second

// ClaimWatch takes a watch that is due, and returns nil when none is.
func (s *Store) ClaimWatch(ctx context.Context, holder string, ttl time.Duration) (*Watch, error) {
	row, err := s.q.ClaimWatch(ctx, db.ClaimWatchParams{Holder: holder, TtlSeconds: ttl.Seconds()})
	if errors.Is(one(err), ErrNotFound) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("claim a watch: %w", err)
	}
	return s.wholeWatch(ctx, row)
}

func (s *Store) wholeWatch(ctx context.Context, row db.Watch) (*Watch, error) {
	w := Watch{Watch: row}
	var err error
	if w.Run, err = s.Run(ctx, row.RunID); err != nil {
		return nil, err
	}
	if w.Publication, err = s.q.PublicationOfWatch(ctx, db.PublicationOfWatchParams{RunID: row.RunID, Generation: row.Generation}); err != nil {
		return nil, fmt.Errorf("publication of the watch of run %d: %w", row.RunID, one(err))
	}
	if w.Commands, err = s.q.CommandsOf(ctx, db.CommandsOfParams{RunID: row.RunID, Generation: row.Generation}); err != nil {
		return nil, fmt.Errorf("commands of run %d: %w", row.RunID, err)
	}
	return &w, nil
}

// WatchOf returns the watch of a run's generation as it is now, or ErrNotFound.
func (s *Store) WatchOf(ctx context.Context, runID int64, generation int32) (*Watch, error) {
	row, err := s.q.GetWatch(ctx, db.GetWatchParams{RunID: runID, Generation: generation})
	if err != nil {
		return nil, fmt.Errorf("watch of run %d: %w", runID, one(err))
	}
	return s.wholeWatch(ctx, row)
}

// FixOfWatch returns the fix whose pull request is watched.
func (s *Store) FixOfWatch(ctx context.Context, w Watch) (db.Fix, error) {
	f, err := s.q.FixOfWatch(ctx, db.FixOfWatchParams{RunID: w.RunID, Generation: w.Generation})
	return f, one(err)
}

// NextWatch is how long it is until a watch is due, an hour when none is.
func (s *Store) NextWatch(ctx context.Context) (time.Duration, error) {
	secs, err := s.q.NextWatch(ctx)
	return time.Duration(secs * float64(time.Second)), err
}

// RenewWatch extends the lease of a watch. ErrFenced: it is lost.
func (s *Store) RenewWatch(ctx context.Context, w Watch, ttl time.Duration) error {
	return changed(s.q.RenewWatch(ctx, db.RenewWatchParams{RunID: w.RunID, Generation: w.Generation, Fence: w.Fence, TtlSeconds: ttl.Seconds()}))
}

// Release says when a watch is looked at next.
type Release struct {
	After time.Duration
	// Stops says that it is not looked at any more, unless a webhook asks for it.
	Stops bool
	// Tries counts the looks that failed in a row, and Problem says why.
	Tries   int32
	Problem string
}

// ReleaseWatch lets go of a watch. ErrFenced: it is lost.
func (s *Store) ReleaseWatch(ctx context.Context, w Watch, r Release) error {
	p := db.ReleaseWatchParams{
		RunID: w.RunID, Generation: w.Generation, Fence: w.Fence, Tries: r.Tries, Problem: r.Problem, Stops: r.Stops,
		Seconds: r.After.Seconds(), SpacingSeconds: ringSpacing.Seconds(),
	}
	if w.Due != nil {
		p.ClaimedDue = *w.Due
	}
	return changed(s.q.ReleaseWatch(ctx, p))
}

// OwnComment records the one comment that we own, and the digest of what it says.
func (s *Store) OwnComment(ctx context.Context, w Watch, id, digest string) error {
	return changed(s.q.OwnComment(ctx, db.OwnCommentParams{RunID: w.RunID, Generation: w.Generation, Fence: w.Fence, CommentID: id, CommentDigest: digest}))
}

// MarkWatch records the head that was marked for review.
func (s *Store) MarkWatch(ctx context.Context, w Watch, head string) error {
	return changed(s.q.MarkWatch(ctx, db.MarkWatchParams{RunID: w.RunID, Generation: w.Generation, Fence: w.Fence, Head: head}))
}

// Follower returns the newest run of the same trouble on a commit that ended because of a pull request of ours, or 0.
func (s *Store) Follower(ctx context.Context, w Watch, commit string) (int64, error) {
	r, err := s.follower(ctx, s.q, w.Publication.Fingerprint, w.RunID)
	if err != nil || r == nil || r.Failure.Commit != commit {
		return 0, err
	}
	return r.ID, nil
}

func (s *Store) follower(ctx context.Context, q *db.Queries, fingerprint string, runID int64) (*Run, error) {
	row, err := q.Follower(ctx, db.FollowerParams{Fingerprint: fingerprint, RunID: runID})
	if errors.Is(one(err), ErrNotFound) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("followers of run %d: %w", runID, err)
	}
	r, err := decodeRun(row)
	return &r, err
}

// PassedOn says whether a failure's pipeline is known to have passed on another commit.
func (s *Store) PassedOn(ctx context.Context, f ci.Failure, commit string) (bool, error) {
	f.Commit = commit
	return s.q.GreenOn(ctx, f.Known())
}

// Nudge is what a webhook says has moved: one pull request, or every one against a branch.
type Nudge struct {
	Owner, Name string
	Number      int64
	Branch      string
}

// ReasonNotOurs is why a webhook about a pull request or branch is ignored that nothing of ours is on.
const ReasonNotOurs = "not_ours"

// RecordNudge records a delivery that says that a pull request has moved, and makes its watch due.
func (s *Store) RecordNudge(ctx context.Context, d Delivery, n Nudge) (Record, error) {
	return s.record(ctx, d, func(q *db.Queries) (Record, error) {
		ids, err := q.RingWatches(ctx, db.RingWatchesParams{
			Owner: n.Owner, Name: n.Name, PrNumber: n.Number, BaseBranch: n.Branch, SpacingSeconds: ringSpacing.Seconds(),
		})
		if err != nil || len(ids) == 0 {
			return Record{Outcome: OutcomeIgnored, Reason: ReasonNotOurs}, err
		}
		newest := ids[0]
		for _, id := range ids {
			newest = max(newest, id)
		}
		return Record{Outcome: OutcomeCoalesced, RunID: newest}, nil
	})
}
