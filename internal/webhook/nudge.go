package webhook

import (
	"encoding/json"
	"strings"

	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// branchRef begins the full name of every branch.
const branchRef = "refs/heads/"

// Moving is what an event says about a pull request or a branch. Ref is a branch's full name, where a push names it so.
type Moving struct {
	Owner, Name string
	PullRequest int64
	Ref         string
	// Head is the pull request's own branch, if the event names it: only those of sre-agent matter.
	Head string
}

// nudge makes an event of it. What lacks a part, or is about nothing of ours, is ignored.
func nudge(m Moving) Event {
	var c payload.Checks
	moved := Moved{Owner: c.Owner("owner", m.Owner), Name: c.Part("name", m.Name), PullRequest: m.PullRequest}
	switch {
	case m.PullRequest == 0 && !strings.HasPrefix(m.Ref, branchRef), m.PullRequest < 0:
		return Ignore(IgnoredEventNotUsed)
	case m.PullRequest == 0:
		moved.Branch = c.Branch("ref", strings.TrimPrefix(m.Ref, branchRef))
	case m.Head != "" && !strings.HasPrefix(m.Head, OwnBranchPrefix):
		return Ignore(IgnoredEventNotUsed)
	}
	switch {
	case c.Err() != nil:
		return Ignore(IgnoredEventNotUsed)
	case strings.HasPrefix(moved.Branch, OwnBranchPrefix):
		return Ignore(IgnoredOwnBranch)
	}
	return Event{Kind: Nudge, Moved: moved}
}

// ReadNudge reads an event's body into p and makes a nudge of what about says of it. A field of another type than it should
// have makes it one that is ignored: this is only a hint.
func ReadNudge[P any](body []byte, about func(P) Moving) (Event, error) {
	if err := payload.Valid(body); err != nil {
		return Event{}, err
	}
	var p P
	if err := json.Unmarshal(body, &p); err != nil {
		return Ignore(IgnoredEventNotUsed), nil //nolint:nilerr // see above
	}
	return nudge(about(p)), nil
}
