package watch

import (
	"cmp"
	"slices"
)

// Label is the label by which a person stops a pull request of ours.
const Label = "sre-agent:off"

// States of a pull request.
const (
	Open   = "open"
	Closed = "closed"
	Merged = "merged"
)

// Why we close a pull request ourselves.
const (
	ClosingStop     = "stop"     // somebody commanded it
	ClosingOff      = "off"      // somebody switched the repository off
	ClosingLabel    = "label"    // somebody put the label on it
	ClosingMended   = "mended"   // the failure is gone on the base
	ClosingOutdated = "outdated" // it conflicts, and the trouble is there on a newer commit
)

// What became of the base after a merge.
const (
	Green    = "green"
	Red      = "red"
	Reverted = "reverted"
)

// What a commit's CI says.
const (
	ChecksNone    = "none"
	ChecksPending = "pending"
	ChecksGreen   = "green"
	ChecksRed     = "red"
)

// Pull is a pull request as the forge has it.
type Pull struct {
	// State is Open, Closed or Merged.
	State       string
	Head        string
	MergeCommit string
	Conflicts   bool
	Labels      []string
}

// Comment is a comment on it.
type Comment struct{ ID, Author, Body string }

// State is what is recorded of a pull request.
type State struct {
	PR             string
	Head, BaseHead string
	Checks         string
	Conflicts      bool
	OffLabel       bool
	// Marked is the head that was marked for review.
	Marked string
	// Closing is why we are closing it or have closed it; Kept says that a person opened it again after that.
	Closing     string
	Kept        bool
	MergeCommit string
	Outcome     string
	RevertedBy  string
	// Seen are the comments that were read, by id.
	Seen []string
}

// Look is what the forge and the records say now.
type Look struct {
	PR Pull
	// Gone says that the forge knows no such pull request any more.
	Gone bool
	// Deaf says that the comments could not be read. None of them is new then, and none is gone.
	Deaf     bool
	Comments []Comment
	// Allowed says who of those that gave a new command may write to the repository.
	Allowed map[string]bool
	// Checks are those of the pull request's head or, after a merge, of the merge commit.
	Checks   string
	BaseHead string
	// Passed says that the workflow passed on the base: on a newer commit than the one that failed.
	Passed bool
	// Off says that the repository wants nothing any more: a person switched it off, or its settings say mode: off.
	Off bool
	// RevertedBy is the commit of the base that takes the merged one back, or "".
	RevertedBy string
	// Follower is the run of the same trouble on the base's newest commit that ended because of this pull request, or 0.
	Follower int64
}

// Kind says what an action does.
type Kind string

// The kinds. The first ones are records; Close and NeedsReview have an effect on the forge.
const (
	Note        Kind = "note"    // record the pull request's state
	Refuse      Kind = "refuse"  // a person said no: never mend this trouble again
	Lift        Kind = "lift"    // a person took the no back
	Answer      Kind = "answer"  // act on a command
	Replace     Kind = "replace" // try the follower again, now that nothing stands in its way
	Close       Kind = "close"
	NeedsReview Kind = "needs_review"
)

// Why a fingerprint is refused or not any more.
const (
	ByClosing   = "closed"
	ByLabel     = "label"
	ByRevert    = "reverted"
	ByReopening = "reopened"
	ByMerging   = "merged"
)

// Action is one thing to do.
type Action struct {
	Kind Kind
	// Why is the reason of Refuse, Lift and Close.
	Why string
	// Comment, Command and Allowed are those of Answer.
	Comment Comment
	Command string
	Allowed bool
	// Run is the follower of Replace.
	Run int64
}

// Plan is what to record and what to do, in this order. Changed says that something of note is new.
type Plan struct {
	State   State
	Actions []Action
	Changed bool
}

// Commands are the comments that have not been read and that hold a command, of the first MaxCommanders people, and the ids
// of all that were read for that. Each of these people costs a question to the forge, however much they wrote.
func Commands(s State, comments []Comment) (commands []Comment, read []string) {
	people := map[string]bool{}
	for _, c := range comments {
		if slices.Contains(s.Seen, c.ID) {
			continue
		}
		if Speaks(c) && Command(c.Body) != "" {
			if !people[c.Author] && len(people) == MaxCommanders {
				break
			}
			people[c.Author] = true
			commands = append(commands, c)
		}
		read = append(read, c.ID)
	}
	return commands, read
}

// MaxCommanders is of how many people one look takes commands; those of the others are for the next one.
const MaxCommanders = 20

// Decide says what to do about a pull request.
func Decide(s State, l Look) Plan {
	p := planner{was: s, Plan: Plan{State: s}}
	p.observe(l)
	p.label(l)
	p.commands(l)
	switch p.State.PR {
	case Open:
		p.ownWish(l)
		p.checks(l)
	case Merged:
		p.after(l)
	}
	p.Changed = p.Changed || len(p.Actions) > 0 || s.Head != p.State.Head || s.Checks != p.State.Checks || s.Conflicts != p.State.Conflicts
	if p.State.PR == Open && p.State.Closing != "" {
		p.do(Action{Kind: Close, Why: p.State.Closing}) // again, if an earlier try died
	}
	return p.Plan
}

type planner struct {
	was State
	Plan
}

func (p *planner) do(a Action) { p.Actions = append(p.Actions, a) }

// observe takes in how the pull request is now, and what it means that it was something else before.
func (p *planner) observe(l Look) {
	now := l.PR.State
	switch {
	case p.was.PR == Merged:
		now = Merged // nothing takes a merge back
	case l.Gone:
		now = Closed
	}
	p.State.PR, p.State.BaseHead = now, l.BaseHead
	if !l.Gone {
		p.State.Head = l.PR.Head
		p.conflicts(l)
	}
	if now == Merged && p.State.MergeCommit == "" {
		p.State.MergeCommit = l.PR.MergeCommit
	}
	if now == p.was.PR {
		return
	}
	p.do(Action{Kind: Note})
	switch {
	case now == Closed && p.was.Closing == "":
		p.do(Action{Kind: Refuse, Why: ByClosing})
	case now == Closed && p.was.Closing == ClosingOutdated && l.Follower != 0:
		p.do(Action{Kind: Replace, Run: l.Follower})
	case now == Open:
		p.State.Kept, p.State.Closing = p.was.Closing != "", ""
		p.do(Action{Kind: Lift, Why: ByReopening})
	case now == Merged && p.was.PR == Closed:
		p.do(Action{Kind: Lift, Why: ByMerging})
	}
}

// conflicts believes in a conflict when both branches are where they were at the last look: just after a push, Gitea and
// Forgejo say that of every pull request.
func (p *planner) conflicts(l Look) {
	says := p.State.PR == Open && l.PR.Conflicts
	p.State.Conflicts = says && (p.was.Conflicts || (p.was.Head == l.PR.Head && p.was.BaseHead == l.BaseHead))
	p.Changed = p.Changed || says != p.State.Conflicts // look again soon
}

// label acts on the label when it appears, so that a person who opens the pull request again has the last word.
func (p *planner) label(l Look) {
	if l.Gone {
		return
	}
	p.State.OffLabel = slices.Contains(l.PR.Labels, Label)
	if p.State.OffLabel && !p.was.OffLabel {
		p.do(Action{Kind: Refuse, Why: ByLabel})
		p.closing(ClosingLabel)
	}
}

func (p *planner) closing(why string) {
	if p.State.PR == Open && p.State.Closing == "" {
		p.State.Closing = why
	}
}

func (p *planner) commands(l Look) {
	if l.Deaf {
		return
	}
	commands, read := Commands(p.was, l.Comments)
	for _, c := range commands {
		command, allowed := Command(c.Body), l.Allowed[c.Author]
		p.do(Action{Kind: Answer, Comment: c, Command: command, Allowed: allowed})
		switch {
		case allowed && command == Stop:
			p.closing(ClosingStop)
		case allowed && command == Off:
			p.closing(ClosingOff)
		}
	}
	// Those that are gone from the forge are forgotten, so that the list stays as short as the conversation.
	p.State.Seen = nil
	for _, c := range l.Comments {
		if slices.Contains(p.was.Seen, c.ID) || slices.Contains(read, c.ID) {
			p.State.Seen = append(p.State.Seen, c.ID)
		}
	}
	p.Changed = p.Changed || len(read) > 0
}

// ownWish closes what has become pointless, unless a person wants to keep it.
func (p *planner) ownWish(l Look) {
	switch {
	case p.State.Kept:
	case l.Off:
		p.closing(ClosingOff)
	case l.Passed:
		p.closing(ClosingMended)
	case p.State.Conflicts && l.Follower != 0:
		p.closing(ClosingOutdated)
	}
}

// checks notes what the pull request's own CI says. A red one is for a person: nothing is tried on the same branch again.
func (p *planner) checks(l Look) {
	p.State.Checks = cmp.Or(l.Checks, ChecksNone)
	if l.Checks == ChecksRed && p.was.Marked != p.State.Head {
		p.do(Action{Kind: NeedsReview})
	}
}

// after notes what became of the base. A revert is a no, whatever the checks say.
func (p *planner) after(l Look) {
	p.State.Checks = cmp.Or(l.Checks, ChecksNone)
	switch {
	case p.was.Outcome == Reverted:
	case l.RevertedBy != "":
		p.State.Outcome, p.State.RevertedBy = Reverted, l.RevertedBy
		p.do(Action{Kind: Refuse, Why: ByRevert})
	case l.Passed || l.Checks == ChecksGreen:
		p.State.Outcome = Green
	case l.Checks == ChecksRed:
		p.State.Outcome = Red
	}
	p.Changed = p.Changed || p.State.Outcome != p.was.Outcome
}
