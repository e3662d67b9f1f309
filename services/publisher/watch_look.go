package publisher

import (
	"context"
	"errors"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/watch"
)

// looker looks at one pull request, once.
type looker struct {
	*Watcher
	forge Watched
	at    Target
	w     store.Watch
	// pull and comments are what the forge has; deaf says that the comments could not be read.
	pull     forge.PullRequest
	comments []forge.Comment
	deaf     bool
}

func (l *looker) number() int { return int(l.w.PrNumber) }

// look asks the forge and the records about everything that the decision needs. Nothing that a webhook said is used.
func (l *looker) look(ctx context.Context) (watch.Look, error) {
	var seen watch.Look
	var err error
	l.pull, err = l.forge.PullRequest(ctx, l.at.Owner, l.at.Name, l.number())
	switch {
	case errors.Is(err, forge.ErrNoPullRequest):
		seen.Gone = true
		return seen, nil
	case err != nil:
		return seen, fmt.Errorf("look at pull request %d: %w", l.number(), err)
	}
	seen.PR = pullOf(l.pull)
	for _, step := range []func(context.Context, *watch.Look) error{l.listen, l.base, l.off, l.checks, l.follower} {
		if err := step(ctx, &seen); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

func pullOf(pr forge.PullRequest) watch.Pull {
	p := watch.Pull{State: watch.Closed, Head: pr.HeadSHA, MergeCommit: pr.MergeCommit, Conflicts: pr.Conflicts, Labels: pr.Labels}
	switch {
	case pr.Merged:
		p.State = watch.Merged
	case pr.State == forge.Open:
		p.State = watch.Open
	}
	return p
}

// listen reads the comments, and asks about everybody who gives a command whether they may. What can't be read for good,
// such as comments so large that nobody reads the answer, must not keep the rest from being seen.
func (l *looker) listen(ctx context.Context, seen *watch.Look) error {
	var err error
	l.comments, err = l.forge.Comments(ctx, l.at.Owner, l.at.Name, l.number())
	if err != nil {
		l.deaf, seen.Deaf = true, true
		if err = l.passOver(ctx, "the comments", err); err != nil {
			return fmt.Errorf("comments of pull request %d: %w", l.number(), err)
		}
		return nil
	}
	for _, c := range l.comments {
		seen.Comments = append(seen.Comments, watch.Comment{ID: c.ID, Author: c.Author, Body: c.Body})
	}
	seen.Allowed = map[string]bool{}
	commands, _ := watch.Commands(l.w.State(), seen.Comments)
	for _, c := range commands {
		if _, known := seen.Allowed[c.Author]; known {
			continue
		}
		may, err := l.forge.Permission(ctx, l.at.Owner, l.at.Name, c.Author)
		if err = l.passOver(ctx, "who may give commands", err); err != nil {
			return fmt.Errorf("permission of the author of comment %s: %w", c.ID, err)
		}
		seen.Allowed[c.Author] = may >= forge.WritePermission
	}
	return nil
}

// passOver logs what the forge refuses for good, so that it is not in the way of everything else, as what it does not have
// is not; what failed just now is an error still.
func (l *looker) passOver(ctx context.Context, what string, err error) error {
	if errors.Is(err, forge.ErrUnsupported) {
		return nil
	}
	reason, permanent := fault.Reason(err)
	if !permanent {
		return err
	}
	l.Log.WarnContext(ctx, "passed over", "what", what, "run_id", l.w.RunID, "pull_request", l.w.PrNumber, "reason", reason, "error", l.Redact(err.Error()))
	return nil
}

// off looks whether the repository wants nothing any more, by a person's command or by its own settings. The settings
// are read again when the base has moved.
func (l *looker) off(ctx context.Context, seen *watch.Look) error {
	if seen.PR.State != watch.Open {
		return nil
	}
	off, err := l.Store.SwitchedOff(ctx, l.w.RunID)
	if err != nil || off != nil {
		seen.Off = off != nil
		return err
	}
	branch := l.w.Run.Failure.BaseBranch
	if branch == l.w.BaseBranch && seen.BaseHead == l.w.BaseHead {
		return nil
	}
	seen.Off, err = l.Settings.Off(ctx, l.at.Place, branch, l.w.Run.Failure.Commit)
	return l.passOver(ctx, "the repository's settings", err)
}

// base looks at where the base is, and whether the workflow is known to have passed there. A base that is gone says nothing.
func (l *looker) base(ctx context.Context, seen *watch.Look) error {
	head, err := l.forge.BranchHead(ctx, l.at.Owner, l.at.Name, l.w.BaseBranch)
	if errors.Is(err, forge.ErrNoBranch) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("head of %s: %w", l.w.BaseBranch, err)
	}
	seen.BaseHead = head
	for _, commit := range []string{head, seen.PR.MergeCommit} {
		if seen.Passed || commit == "" || commit == l.w.Run.Failure.Commit {
			continue
		}
		if seen.Passed, err = l.Store.PassedOn(ctx, l.w.Run.Failure, commit); err != nil {
			return err
		}
	}
	if seen.PR.State == watch.Merged && l.w.Outcome != watch.Reverted && (head != l.w.BaseHead || l.w.MergedAt == nil) {
		seen.RevertedBy, err = l.reverted(ctx)
	}
	return err
}

// reverted looks for a commit on the base that says that it takes ours back.
func (l *looker) reverted(ctx context.Context) (string, error) {
	messages, err := l.History.Messages(ctx, l.at.Place, l.w.BaseBranch)
	if err = l.passOver(ctx, "the base's history, which a revert would be in", err); err != nil {
		return "", err
	}
	ours := []string{l.pull.MergeCommit, l.pull.HeadSHA, l.w.Publication.CommitID}
	for _, m := range messages {
		if watch.Reverts(m.Text, ours, l.at.Owner, l.at.Name, l.number()) {
			return m.Commit, nil
		}
	}
	return "", nil
}

// checks looks at the CI of our commit or, after a merge, of the commit that the merge made.
func (l *looker) checks(ctx context.Context, seen *watch.Look) error {
	commit := seen.PR.Head
	switch seen.PR.State {
	case watch.Closed:
		return nil
	case watch.Merged:
		commit = seen.PR.MergeCommit
	}
	if commit == "" {
		return nil
	}
	checks, err := l.forge.CommitChecks(ctx, l.at.Owner, l.at.Name, commit)
	if err = l.passOver(ctx, "what the checks say", err); err != nil {
		return fmt.Errorf("checks of %.12s: %w", commit, err)
	}
	seen.Checks = map[forge.Checks]string{
		forge.ChecksNone: watch.ChecksNone, forge.ChecksPending: watch.ChecksPending, forge.ChecksGreen: watch.ChecksGreen, forge.ChecksRed: watch.ChecksRed,
	}[checks]
	return nil
}

// follower looks for a run that could take this pull request's place.
func (l *looker) follower(ctx context.Context, seen *watch.Look) error {
	if seen.BaseHead == "" || (!seen.PR.Conflicts && l.w.Closing != watch.ClosingOutdated) {
		return nil
	}
	var err error
	seen.Follower, err = l.Store.Follower(ctx, l.w, seen.BaseHead)
	return err
}
