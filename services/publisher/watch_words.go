package publisher

import (
	"context"
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/watch"
)

const (
	// maxAnswers is how many answers our comment shows, the newest ones.
	maxAnswers = 20
	// maxExplained is how many lines of the log it repeats.
	maxExplained = 20
)

// words is what our comment says: a function of the records alone, so that whoever writes it again writes the same.
// worth says that there is enough in it for a comment of its own; the rest only ever joins one.
func (l *looker) words(ctx context.Context, w store.Watch) (text string, worth bool, err error) {
	var b strings.Builder
	notes, worth := notesOf(w)
	for _, n := range notes {
		fmt.Fprintf(&b, "%s\n\n", n)
	}
	answers, why, stranger := answersOf(w)
	if len(answers) > 0 {
		b.WriteString(strings.Join(answers, "\n") + "\n\n")
	}
	if stranger {
		b.WriteString("Thank you for writing. Commands are taken from people who may write to this repository, as far as the forge tells sre-agent who that is.\n\n")
	}
	if why {
		said, err := l.explain(ctx, w)
		if err != nil {
			return "", false, err
		}
		b.WriteString(said)
	}
	if b.Len() == 0 {
		b.WriteString("What stood here is no longer so.\n\n") // of a comment that is there already
	}
	return l.Redact(b.String()) + markup.Of(l.at.Place.Forge).Hidden(talkMark(w)), worth || len(answers) > 0 || stranger, nil
}

// notesOf says what became of the pull request, and whether that is worth a comment.
func notesOf(w store.Watch) (notes []string, worth bool) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	base := markup.Code(w.BaseBranch)
	if why := closingWords[w.Closing]; why != "" {
		note(why, base)
		worth = true
	}
	open := w.PrState == watch.Open && w.Closing == ""
	if open && w.Checks == watch.ChecksRed {
		note("The checks of this pull request's own commit %s are red, so a person has to look. Nothing is tried on this branch again.", markup.Code(short(w.Head)))
		worth = true
	}
	if open && w.Conflicts {
		note("It conflicts with %s. It is not rebased: what is published is what was verified. When the workflow fails on a newer commit there, a new pull request is made for that one and this one is closed; when it passes, this one is closed.", base)
		worth = true
	}
	switch w.Outcome {
	case watch.Green:
		note("After the merge, %s is green.", base)
	case watch.Red:
		note("After the merge at %s, %s is red.", markup.Code(short(w.MergeCommit)), base)
		worth = true
	case watch.Reverted:
		note("It was reverted by %s. That is taken as a no: this trouble is not mended again until somebody says retry.", markup.Code(short(w.RevertedBy)))
		worth = true
	}
	return notes, worth
}

// closingWords say why we close a pull request. Each has room for the base's name.
var closingWords = map[string]string{
	watch.ClosingStop:     "Closed, as it was asked for; %s stays as it is.",
	watch.ClosingOff:      "Closed, and this repository is left alone; %s stays as it is.",
	watch.ClosingLabel:    "Closed, because of the label " + "`" + watch.Label + "`" + "; %s stays as it is. This trouble is not mended again until somebody says retry.",
	watch.ClosingMended:   "Closed: the workflow passes on a newer commit of %s, so there is nothing left to mend.",
	watch.ClosingOutdated: "Closed: it conflicts with %s, and the same trouble is there on a newer commit, which is being looked at instead.",
}

func short(commit string) string { return fmt.Sprintf("%.12s", commit) }

// answersOf says what became of the commands, the newest last.
func answersOf(w store.Watch) (answers []string, why, stranger bool) {
	var allowed []db.Command
	for _, c := range w.Commands {
		if c.Outcome == store.CommandNotAllowed {
			stranger = true
			continue
		}
		allowed = append(allowed, c)
		why = why || c.Command == watch.Why
	}
	for _, c := range allowed[max(0, len(allowed)-maxAnswers):] {
		answers = append(answers, fmt.Sprintf("- %s of %s: %s", markup.Code(c.Command), markup.Code(c.Author), markup.Plain(c.Answer)))
	}
	return answers, why, stranger
}

// explain tells what was found out. All of it that came from outside stands in code.
func (l *looker) explain(ctx context.Context, w store.Watch) (string, error) {
	fix, err := l.Store.FixOfWatch(ctx, w)
	if err != nil {
		return "", fmt.Errorf("fix of run %d: %w", w.RunID, err)
	}
	report, err := evidence.Parse(fix.Evidence)
	if err != nil {
		return "", fmt.Errorf("evidence of run %d: %w", w.RunID, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### Why\n\nThe workflow %s failed on %s.", markup.Code(w.Run.Failure.WorkflowName), markup.Code(short(w.Run.Failure.Commit)))
	if report.Class != "" {
		fmt.Fprintf(&b, " The failure is of the class %s.", markup.Code(report.Class))
	}
	fmt.Fprintf(&b, " This change is by %s.\n\n", markup.Code(fix.Fixer))
	if len(report.Excerpt) > 0 {
		var log strings.Builder
		for _, line := range report.Excerpt[:min(len(report.Excerpt), maxExplained)] {
			fmt.Fprintf(&log, "%6d  %s\n", line.Number, markup.Plain(line.Text))
		}
		fmt.Fprintf(&b, "%s\n", markup.Fence(log.String()))
	}
	if c := report.Check; c != nil {
		fmt.Fprintf(&b, "This check had exit code %d before the change and %d with it:\n\n%s\n", c.Before.ExitCode, c.After.ExitCode, markup.Fence(markup.Plain(c.Command)))
	}
	if p := report.Policy; p != nil {
		fmt.Fprintf(&b, "The policy calls it %s, with the danger score %d. ", markup.Code(p.Class), p.Danger)
	}
	fmt.Fprintf(&b, "`sre-agent runs show %d` says more.\n\n", w.RunID)
	return b.String(), nil
}
