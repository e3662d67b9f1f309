// Package webhook says what a provider's webhook means to sre-agent, in one form for every provider.
//
// Each provider has a package below this one with pure functions: verify the request, read who sent what, parse the
// body. None of them reads the network or the clock. Package providers has the table of them.
package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// OwnBranchPrefix begins the name of every branch that sre-agent pushes. A failure on such a branch is never
// worked on: that is how a loop would start.
const OwnBranchPrefix = "sre-agent/"

// The kinds of event.
const (
	Failure = "failure" // a pipeline failed: there is something to do
	Success = "success" // a whole pipeline passed: what waits to mend it on the same commit need not
	Nudge   = "nudge"   // something moved on a pull request or a branch: whoever watches it should look
	Ignored = "ignored" // anything else, with a reason
)

// The reasons for ignoring a delivery that several providers share. Each provider adds its own to a closed set.
const (
	IgnoredPing         = "ping"
	IgnoredEventNotUsed = "event_not_used"  // an event that the provider sends and sre-agent has no use for
	IgnoredUnknownEvent = "unknown_event"   // an event that this version has never heard of
	IgnoredNotCompleted = "not_completed"   // a pipeline or job that is still under way
	IgnoredNoBranch     = "no_branch"       // the commit is on no branch: a tag, or a branch that is gone
	IgnoredOwnBranch    = "own_branch"      // sre-agent's own branch: working on it would be a loop
	IgnoredJobSuccess   = "job_success"     // one job passed, which says nothing about its pipeline
	IgnoredAllowed      = "allowed_failure" // a failure that the pipeline itself takes no notice of
)

// Event is what one delivery says.
type Event struct {
	// Kind is Failure, Success, Nudge or Ignored.
	Kind string `json:"kind"`
	// Reason says why a delivery is ignored; it comes from the provider's closed set and is empty otherwise.
	Reason string `json:"reason,omitempty"`
	// Failure holds the facts of the pipeline, for Failure and Success; it is empty otherwise.
	Failure ci.Failure `json:"failure,omitzero"`
	// Moved is what a Nudge is about.
	Moved Moved `json:"moved,omitzero"`
}

// Moved is a pull request, by its number, or a branch that pull requests may be against.
type Moved struct {
	Owner       string `json:"owner"`
	Name        string `json:"name"`
	PullRequest int64  `json:"pull_request,omitempty"`
	Branch      string `json:"branch,omitempty"`
}

// Ignore is an event that is ignored for a reason.
func Ignore(reason string) Event { return Event{Kind: Ignored, Reason: reason} }

// Request is a webhook request as it came in.
type Request struct {
	Header http.Header
	// Query is what stands after the address' "?". Only providers that can send no header have their token in it.
	Query url.Values
	Body  []byte
	// Received is when it came; signed times are compared with it.
	Received time.Time
}

// Named is the value of a header that has to come once and to match. The error shows the form, never the value.
func (r *Request) Named(header string, form *regexp.Regexp) (string, error) {
	values := r.Header.Values(header)
	if len(values) != 1 || !form.MatchString(values[0]) {
		return "", fmt.Errorf("header %s: want one value that matches %s", header, form)
	}
	return values[0], nil
}

// Keys are what may have signed a request. Any of them is accepted, so that one can be replaced without a gap. Empty
// ones never match.
type Keys struct {
	// Signing are secrets that sign the body and never travel.
	Signing [][]byte
	// Tokens travel with each request as they are; whoever reads one request can send others.
	Tokens [][]byte
}

// None says that there is no key at all: the provider is off.
func (k Keys) None() bool { return len(k.Signing) == 0 && len(k.Tokens) == 0 }

// The errors of Verify. Their texts and those that wrap them are shown to the sender: they never hold a secret.
var (
	// ErrUnsigned is returned for a request without any credentials.
	ErrUnsigned = errors.New("the request is not signed")
	// ErrBadSignature is returned for credentials that are malformed, repeated, or fit none of the keys.
	ErrBadSignature = errors.New("the signature does not match")
	// ErrStale is returned for a good signature over a time that is too far from ours.
	ErrStale = errors.New("the signed time is more than five minutes from ours")
)

// MaxSkew is how far a signed time may be from ours: https://www.standardwebhooks.com leaves it to the receiver.
const MaxSkew = 5 * time.Minute

// Provider reads the webhooks of one provider. Its functions are pure and safe for concurrent use.
type Provider struct {
	// Name stands in the address, in subjects and in records: lower-case letters.
	Name string
	// Signs and Sends say which kinds of Keys it knows.
	Signs, Sends bool
	// Credentials are the headers, or for "?token" the query's fields, one of which a request must have: one that has
	// none is refused before its body is read.
	Credentials []string
	// Verify checks a request's credentials. It returns an error that wraps one of the three above.
	Verify func(r *Request, keys Keys) error
	// Identify returns the delivery's id, the same whenever the delivery is sent again, and the event's name. An empty
	// id means that the provider has none: the hash of the body stands for it.
	Identify func(r *Request) (id, event string, err error)
	// Repository returns the owner and name of the repository that a body speaks of, and empty strings for none.
	Repository func(body payload.Object) (owner, name string)
	// Parse says what a delivery means. Its errors are permanent (package fault): the same bytes fail again.
	Parse func(event string, body []byte) (Event, error)
}

// HasCredentials says whether a request's head has any of the provider's credentials.
func (p Provider) HasCredentials(header http.Header, query url.Values) bool {
	for _, name := range p.Credentials {
		if name[0] == '?' && query.Get(name[1:]) != "" || name[0] != '?' && header.Get(name) != "" {
			return true
		}
	}
	return false
}
