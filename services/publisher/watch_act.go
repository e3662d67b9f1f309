package publisher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/watch"
	"github.com/sre-agent/sre-agent/streams"
)

// needsReview is the label of a pull request whose own checks are red.
const needsReview = "needs-review"

// act does what has an effect on the forge: first it says why. The records are written, so it may be begun again at
// any point. A comment or a label that the forge refuses does not keep a pull request open. again says that what it did
// is to be looked at.
func (l *looker) act(ctx context.Context, w store.Watch, p watch.Plan) (again bool, err error) {
	if err := l.passOver(ctx, "our comment", l.say(ctx, w)); err != nil {
		return false, err
	}
	for _, a := range p.Actions {
		switch a.Kind {
		case watch.NeedsReview:
			err = l.mark(ctx, w, p.State, a)
		case watch.Close:
			again = true
			if err = afford(ctx, l.Writes, l.at, 1); err == nil {
				err = l.forge.ClosePullRequest(ctx, l.at.Owner, l.at.Name, l.number())
			}
		case watch.Note, watch.Refuse, watch.Lift, watch.Replace, watch.Answer: // records
		}
		if err != nil {
			return false, fmt.Errorf("%s of pull request %d: %w", a.Kind, l.number(), err)
		}
	}
	// A look acts on so many commands; the next ones are due at once.
	return again || slices.ContainsFunc(l.comments, func(c forge.Comment) bool { return !slices.Contains(p.State.Seen, c.ID) }), nil
}

// mark labels a pull request whose own checks are red, and announces it once: when that is recorded.
func (l *looker) mark(ctx context.Context, w store.Watch, now watch.State, a watch.Action) error {
	err := afford(ctx, l.Writes, l.at, 1)
	if err == nil {
		err = l.forge.AddLabels(ctx, l.at.Owner, l.at.Name, l.number(), []string{needsReview})
	}
	if err := l.passOver(ctx, "the label "+needsReview, err); err != nil {
		return err
	}
	if err := l.Store.MarkWatch(ctx, w, now.Head); err != nil {
		return err
	}
	l.announce(ctx, w, now, a)
	return nil
}

// say brings our one comment up to date. It is created when there is something to say, and found by its mark when an
// earlier try died; only one that has our own name on it is taken for ours. Where the comments can't be read, nobody knows
// whether there is one, and none is made.
func (l *looker) say(ctx context.Context, w store.Watch) error {
	text, worth, err := l.words(ctx, w)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(text))
	digest := hex.EncodeToString(sum[:])
	if digest == w.CommentDigest {
		return nil
	}
	id := l.own(w)
	if l.pull.Number == 0 || (id == "" && (!worth || l.deaf)) {
		return nil
	}
	if err := afford(ctx, l.Writes, l.at, callsOfComment); err != nil {
		return err
	}
	if id != "" {
		err = l.forge.EditComment(ctx, l.at.Owner, l.at.Name, l.number(), id, text)
	}
	if errors.Is(err, forge.ErrNoPullRequest) { // which was there a moment ago: somebody has deleted the comment
		id, err = "", nil
	}
	if id == "" && worth {
		var c forge.Comment
		c, err = l.forge.Comment(ctx, l.at.Owner, l.at.Name, l.number(), text)
		id = c.ID
	}
	if err != nil {
		return fmt.Errorf("comment on pull request %d: %w", l.number(), err)
	}
	return l.Store.OwnComment(ctx, w, id, digest)
}

// own is the id of our comment, or "" when there is none. One that is recorded is not looked for among those that the forge
// lists: it lists so many and no more.
func (l *looker) own(w store.Watch) string {
	if w.CommentID != "" {
		return w.CommentID
	}
	for _, c := range l.comments {
		if mark, _ := markup.Find(c.Body); c.Author != "" && c.Author == l.pull.Author && mark == talkMark(w) {
			return c.ID
		}
	}
	return ""
}

// talkMark is the hidden mark of the one comment that we own on a pull request.
func talkMark(w store.Watch) string {
	return fmt.Sprintf("talk run=%d generation=%d", w.RunID, w.Generation)
}

// tell announces what was recorded. What is marked for review is announced when that is.
func (s *Watcher) tell(ctx context.Context, w store.Watch, p watch.Plan) {
	for _, a := range p.Actions {
		if a.Kind != watch.NeedsReview {
			s.announce(ctx, w, p.State, a)
		}
	}
}

func (s *Watcher) announce(ctx context.Context, w store.Watch, now watch.State, a watch.Action) {
	kind, reason := "pull_request."+string(a.Kind), a.Why
	switch a.Kind {
	case watch.Note:
		kind, reason = "pull_request."+now.PR, ""
	case watch.Answer:
		kind, reason = "command."+a.Command, outcomeOf(w, a.Comment.ID)
	case watch.Refuse, watch.Lift, watch.Replace, watch.Close, watch.NeedsReview:
	}
	s.count(ctx, w, now, a)
	repo := w.Run.Failure.Repository
	s.Log.InfoContext(ctx, "watched pull request", "run_id", w.RunID, "pull_request", w.PrNumber, "what", kind, "reason", reason)
	s.Events.Emit(ctx, streams.Event{
		Kind: kind, Provider: w.Run.Failure.Provider, Owner: repo.Owner, Name: repo.Name, RunID: w.RunID, Reason: reason,
	})
}

func outcomeOf(w store.Watch, comment string) string {
	for _, c := range w.Commands {
		if c.CommentID == comment {
			return c.Outcome
		}
	}
	return ""
}

// count counts what was recorded, once: a close that is done again is not new.
func (s *Watcher) count(ctx context.Context, w store.Watch, now watch.State, a watch.Action) {
	switch {
	case a.Kind == watch.Answer:
		s.Counters.Command(ctx, telemetry.CommandOutcome(outcomeOf(w, a.Comment.ID)))
	case a.Kind == watch.NeedsReview:
		s.Counters.PullRequestFate(ctx, telemetry.FateRed)
	case a.Kind == watch.Refuse && a.Why == watch.ByRevert:
		s.Counters.PullRequestFate(ctx, telemetry.FateReverted)
	case a.Kind == watch.Note:
		s.Counters.PullRequestFate(ctx, fate(now))
	}
}

func fate(now watch.State) telemetry.PRFate {
	switch {
	case now.PR == watch.Merged:
		return telemetry.FateMerged
	case now.PR == watch.Open:
		return telemetry.FateReopened
	case now.Closing == "":
		return telemetry.FateClosed
	case now.Closing == watch.ClosingMended || now.Closing == watch.ClosingOutdated:
		return telemetry.FateOutdated
	default:
		return telemetry.FateStopped
	}
}
