package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

const (
	clock = "15:04:05.000"
	// shownLines bounds a check's output in the history; --json has it whole.
	shownLines = 20
	shownWidth = 200
)

// history prints all that is recorded about a run, in the order in which it happened.
func (t terminal) history(h store.History) {
	r, f := h.Run, h.Run.Failure
	t.printf("%s  %s\n", t.bold(fmt.Sprintf("run %d", r.ID)), t.state(r))
	t.field("repository", f.Repository.FullName())
	t.field("failure", fmt.Sprintf("%s on %s at %s: %s", f.WorkflowName, f.Branch, short(f.Commit), f.Conclusion))
	t.field("ci run", f.RunURL)
	t.field("run key", r.RunKey)
	t.field("explanation", r.Explanation)
	if r.NotBefore != nil && !run.State(r.State).Ended() {
		t.field("not before", r.NotBefore.Local().Format(time.DateTime))
	}
	if r.Follows != nil {
		t.field("follows", fmt.Sprintf("run %d, whose pull request stands for this trouble too", *r.Follows))
	}
	if len(h.Followers) > 0 {
		t.field("followed by", "runs "+numbers(h.Followers))
	}
	t.printf("\n%s  (%s)\n", t.bold("timeline"), r.CreatedAt.Local().Format(time.DateOnly))
	for _, e := range t.timeline(h) {
		e.print()
	}
	t.findings(h)
}

// maxNumbers is how many followers are listed; --json has them all.
const maxNumbers = 20

func numbers(ids []int64) string {
	out := make([]string, 0, maxNumbers)
	for _, id := range ids[:min(len(ids), maxNumbers)] {
		out = append(out, fmt.Sprint(id))
	}
	if more := len(ids) - maxNumbers; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}

// entry is one thing of a timeline.
type entry struct {
	when  time.Time
	print func()
}

func (t terminal) timeline(h store.History) []entry {
	var entries []entry
	at := func(when time.Time, what, text string) {
		entries = append(entries, entry{when, func() { t.at(when, what, text) }})
	}
	for _, d := range h.Deliveries {
		at(d.ReceivedAt, "delivery", fmt.Sprintf("%s %s: %s", d.Event, d.DeliveryID, withReason(d.Outcome, d.Reason)))
	}
	for _, a := range h.Attempts {
		entries = append(entries, entry{a.StartedAt, func() { t.attempt(a) }})
	}
	for _, a := range h.Actions {
		at(a.At, a.Action, fmt.Sprintf("by %s: %s; it was %s", a.Who, a.Why, withReason(a.BeforeState, a.BeforeReason)))
	}
	if h.Fix != nil {
		at(h.Fix.CreatedAt, "fix", fmt.Sprintf("%s by %s, %s", h.Fix.Title, h.Fix.Fixer, h.Fix.Digest))
	}
	if p := h.Publication; p != nil {
		at(p.CreatedAt, "publication", fmt.Sprintf("branch %s into %s, commit %s", p.Branch, p.BaseBranch, short(p.CommitID)))
		text := withReason(p.State, p.Reason)
		if p.PrUrl != nil {
			text += " " + *p.PrUrl
		}
		at(p.UpdatedAt, "publication", text)
	}
	if n := h.Suggestion; n != nil {
		at(n.UpdatedAt, "suggestion", withReason(n.State, n.Reason)+" on "+n.PrUrl)
	}
	if r := h.Rerun; r != nil {
		at(r.UpdatedAt, "rerun", withReason(r.State, r.Reason)+" for "+r.Why)
	}
	if r := h.Run; r.EndedAt != nil {
		at(*r.EndedAt, "end", withReason(r.State, r.Reason))
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.when.Compare(b.when) })
	return entries
}

func (t terminal) state(r store.Run) string {
	text := visible(withReason(r.State, r.Reason))
	switch run.State(r.State) {
	case run.Published:
		return t.green(text)
	case run.Declined, run.Blocked:
		return t.red(text)
	default:
		return t.cyan(text)
	}
}

func (t terminal) field(name, value string) {
	if value != "" {
		t.printf("  %-12s %s\n", name, visible(value))
	}
}

func (t terminal) at(when time.Time, what, text string) {
	t.printf("  %s  %-12s %s\n", t.dim(when.Local().Format(clock)), what, visible(text))
}

func (t terminal) attempt(a db.Attempt) {
	name := "given back"
	if a.Number != nil {
		name = fmt.Sprintf("attempt %d", *a.Number)
	}
	t.at(a.StartedAt, name, fmt.Sprintf("begins, fence %d, holder %s", a.Fence, a.Holder))
	report, err := evidence.Parse(a.Evidence)
	if err != nil {
		t.printf("  %14s evidence can't be read: %s\n", "", visible(err.Error()))
	}
	for _, s := range report.Stages {
		t.printf("  %14s   %-13s %s %s\n", "", visible(s.Name), t.verdict(s), t.dim(fmt.Sprintf("%.2fs", s.Seconds)))
	}
	if a.EndedAt != nil && a.Outcome != nil {
		t.at(*a.EndedAt, name, withReason(*a.Outcome, a.Reason))
	}
}

func (t terminal) verdict(s evidence.Stage) string {
	text := visible(withReason(s.Verdict, s.Reason))
	if s.Verdict == "pass" {
		return t.green(text)
	}
	if s.Detail != "" {
		text += ": " + clip(visible(s.Detail), shownWidth)
	}
	return t.red(text)
}

func (t terminal) lines(text string) {
	text = strings.Trim(text, "\n")
	if text == "" {
		return
	}
	lines := strings.Split(text, "\n")
	for _, line := range lines[:min(len(lines), shownLines)] {
		t.printf("    | %s\n", clip(visible(line), shownWidth))
	}
	if more := len(lines) - shownLines; more > 0 {
		t.printf("    | … %d more lines\n", more)
	}
}

func withReason(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + " (" + reason + ")"
}
