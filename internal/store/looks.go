package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/watch"
)

// What became of a command.
const (
	CommandDone       = "done"
	CommandRefused    = "refused"
	CommandNotAllowed = "not_allowed"
)

// RecordLook records what was seen of a pull request and carries out everything that is a matter of records, in one
// transaction. It returns the watch as it is then. ErrFenced: it is lost, and nothing was changed.
func (s *Store) RecordLook(ctx context.Context, w Watch, p watch.Plan) (*Watch, error) {
	err := s.inTx(ctx, "record a look", func(q *db.Queries) error {
		if _, err := q.LockWatch(ctx, db.LockWatchParams{RunID: w.RunID, Generation: w.Generation, Fence: w.Fence}); err != nil {
			if errors.Is(one(err), ErrNotFound) {
				return ErrFenced
			}
			return err
		}
		if err := q.SeeWatch(ctx, seen(w, p)); err != nil {
			return err
		}
		for _, a := range p.Actions {
			if err := s.carryOut(ctx, q, w, p.State, a); err != nil {
				return fmt.Errorf("%s: %w", a.Kind, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.WatchOf(ctx, w.RunID, w.Generation)
}

func seen(w Watch, p watch.Plan) db.SeeWatchParams {
	st := p.State
	ids := st.Seen
	if ids == nil {
		ids = []string{}
	}
	return db.SeeWatchParams{
		RunID: w.RunID, Generation: w.Generation, PrState: st.PR, Head: st.Head, BaseHead: st.BaseHead, Checks: cmp.Or(st.Checks, watch.ChecksNone),
		Conflicts: st.Conflicts, OffLabel: st.OffLabel, MergeCommit: st.MergeCommit, Kept: st.Kept, Closing: st.Closing,
		Outcome: st.Outcome, RevertedBy: st.RevertedBy, Seen: ids, Changed: p.Changed,
	}
}

// State is what is recorded of a watch, as package watch has it.
func (w Watch) State() watch.State {
	return watch.State{
		PR: w.PrState, Head: w.Head, BaseHead: w.BaseHead, Checks: w.Checks, Conflicts: w.Conflicts, OffLabel: w.OffLabel, Marked: w.Marked,
		Closing: w.Closing, Kept: w.Kept, MergeCommit: w.MergeCommit, Outcome: w.Outcome, RevertedBy: w.RevertedBy, Seen: w.Seen,
	}
}

func (s *Store) carryOut(ctx context.Context, q *db.Queries, w Watch, st watch.State, a watch.Action) error {
	url := prURL(w)
	switch a.Kind {
	case watch.Note:
		return notePR(ctx, q, w, st.PR)
	case watch.Refuse:
		if a.Why == watch.ByRevert {
			return refuseReverted(ctx, q, w.RunID, w.Generation)
		}
		return refuseTrouble(ctx, q, w)
	case watch.Lift:
		_, err := lift(ctx, q, w, Actor{Who: "forge", Why: url + " was " + a.Why})
		return err
	case watch.Replace:
		return s.again(ctx, q, a.Run, Actor{Who: "sre-agent", Why: url + " conflicts with its base and was closed"})
	case watch.Answer:
		return s.answer(ctx, q, w, st, a)
	case watch.Close, watch.NeedsReview: // effects on the forge: the caller's
	}
	return nil
}

func prURL(w Watch) string {
	if w.Publication.PrUrl == nil {
		return fmt.Sprintf("pull request %d", w.PrNumber)
	}
	return *w.Publication.PrUrl
}

// notePR records the state of the pull request. One that is open again while another one stands for its fingerprint
// stays as it was.
func notePR(ctx context.Context, q *db.Queries, w Watch, state string) error {
	if state == PROpen {
		holder, err := q.FingerprintHolder(ctx, w.Publication.Fingerprint)
		if err == nil && (holder.RunID != w.RunID || holder.Generation != w.Generation) {
			return nil
		}
		if err != nil && !errors.Is(one(err), ErrNotFound) {
			return err
		}
	}
	_, err := q.SetPRState(ctx, db.SetPRStateParams{RunID: w.RunID, Generation: w.Generation, PrState: state})
	return err
}

// refuseTrouble has the trouble not mended again, until somebody lifts it. A run without a fingerprint has nothing to refuse.
func refuseTrouble(ctx context.Context, q *db.Queries, w Watch) error {
	if w.Publication.Fingerprint == "" {
		return nil
	}
	return q.Refuse(ctx, db.RefuseParams{Fingerprint: w.Publication.Fingerprint, RunID: w.RunID, PrUrl: prURL(w)})
}

func lift(ctx context.Context, q *db.Queries, w Watch, a Actor) (int64, error) {
	if w.Publication.Fingerprint == "" {
		return 0, nil
	}
	return q.LiftRefusal(ctx, db.LiftRefusalParams{Fingerprint: w.Publication.Fingerprint, LiftedBy: a.Who, LiftedWhy: a.Why})
}

// answer acts on a command, once: its row says so from the same moment on.
func (s *Store) answer(ctx context.Context, q *db.Queries, w Watch, st watch.State, a watch.Action) error {
	known, err := q.HasCommand(ctx, db.HasCommandParams{RunID: w.RunID, Generation: w.Generation, CommentID: a.Comment.ID})
	if err != nil || known {
		return err
	}
	outcome, answer := CommandNotAllowed, ""
	if a.Allowed {
		if outcome, answer, err = s.obey(ctx, q, w, st, a); err != nil {
			return err
		}
	}
	_, err = q.SaveCommand(ctx, db.SaveCommandParams{
		RunID: w.RunID, Generation: w.Generation, CommentID: a.Comment.ID, Author: a.Comment.Author, Command: a.Command, Outcome: outcome, Answer: answer,
	})
	return err
}

func (s *Store) obey(ctx context.Context, q *db.Queries, w Watch, st watch.State, a watch.Action) (outcome, answer string, err error) {
	by := Actor{Who: a.Comment.Author, Why: "asked in a comment on " + prURL(w)}
	switch a.Command {
	case watch.Retry:
		return s.retry(ctx, q, w, st, by)
	case watch.Stop:
		if err := refuseTrouble(ctx, q, w); err != nil {
			return "", "", err
		}
		return CommandDone, "this trouble is not mended again until somebody says retry", record(ctx, q, w.RunID, watch.Stop, by)
	case watch.Off:
		if err := refuseTrouble(ctx, q, w); err != nil {
			return "", "", err
		}
		if _, err := switchOff(ctx, q, w.RepositoryID, by); err != nil {
			return "", "", err
		}
		return CommandDone, "this repository is left alone until an operator switches it on again", record(ctx, q, w.RunID, watch.Off, by)
	default:
		return CommandDone, "the explanation is below", nil
	}
}

// retry lifts the refusal and tries the newest run of the trouble again: it is the one whose commit may still be the
// branch's. One that waits already is tried at once.
func (s *Store) retry(ctx context.Context, q *db.Queries, w Watch, st watch.State, by Actor) (outcome, answer string, err error) {
	if st.PR == watch.Open {
		return CommandRefused, "the pull request is open: close it first", nil
	}
	switch standing, err := standing(ctx, q, w); {
	case err != nil:
		return "", "", err
	case standing != "":
		return CommandRefused, standing + " stands for the same trouble already", nil
	}
	lifted, err := lift(ctx, q, w, by)
	if err != nil {
		return "", "", err
	}
	if st.PR == watch.Merged && lifted == 0 {
		return CommandRefused, "the pull request was merged: there is nothing to try again", nil
	}
	id := w.RunID
	newer, err := s.follower(ctx, q, w.Publication.Fingerprint, w.RunID)
	if err != nil {
		return "", "", err
	}
	if newer != nil && newer.ID > id {
		id = newer.ID
	}
	err = s.again(ctx, q, id, by)
	var no *ActionError
	if errors.As(err, &no) {
		return CommandRefused, no.Message, nil
	}
	return CommandDone, fmt.Sprintf("run %d is tried again", id), err
}

// standing is the pull request that stands for a watch's trouble: a later one of the same run, or another run's.
func standing(ctx context.Context, q *db.Queries, w Watch) (string, error) {
	holder, err := q.FingerprintHolder(ctx, w.Publication.Fingerprint)
	if errors.Is(one(err), ErrNotFound) {
		holder, err = q.GetPublication(ctx, w.RunID)
	}
	switch {
	case errors.Is(one(err), ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case holder.PrState != PROpen || holder.PrUrl == nil || (holder.RunID == w.RunID && holder.Generation == w.Generation):
		return "", nil
	}
	return *holder.PrUrl, nil
}

// again has an ended run tried again, one whose pull request is closed too.
func (s *Store) again(ctx context.Context, q *db.Queries, id int64, by Actor) error {
	r, err := q.LockRun(ctx, id)
	if err != nil {
		return one(err)
	}
	if st := run.State(r.State); st != run.Waiting && !st.Ended() {
		return &ActionError{"active", fmt.Sprintf("run %d is being worked on: %s", r.ID, r.State)}
	}
	if err := record(ctx, q, id, watch.Retry, by); err != nil {
		return err
	}
	return begin(ctx, q, r)
}

// record keeps who did what to a run, and why.
func record(ctx context.Context, q *db.Queries, id int64, action string, by Actor) error {
	r, err := q.GetRun(ctx, id)
	if err != nil {
		return one(err)
	}
	return q.RecordAction(ctx, db.RecordActionParams{
		RunID: id, Action: action, Who: by.Who, Why: by.Why, BeforeState: r.State, BeforeReason: r.Reason,
	})
}
