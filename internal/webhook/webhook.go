// Package webhook says what a provider's webhook means to sre-agent, in one form for every provider.
//
// Each provider has a package below this one with pure functions: verify the request, read its headers, parse
// its body. None of them reads the network or the clock.
package webhook

import "github.com/sre-agent/sre-agent/internal/ci"

// OwnBranchPrefix begins the name of every branch that sre-agent pushes. A failure on such a branch is never
// worked on: that is how a loop would start.
const OwnBranchPrefix = "sre-agent/"

// The kinds of event.
const (
	Failure = "failure" // a workflow failed: there is something to do
	Success = "success" // a workflow passed: worth knowing, nothing to do
	Ignored = "ignored" // anything else, with a reason
)

// Event is what one delivery says.
type Event struct {
	// Kind is Failure, Success or Ignored.
	Kind string `json:"kind"`
	// Reason says why a delivery is ignored; it comes from the provider's closed set and is empty otherwise.
	Reason string `json:"reason,omitempty"`
	// Failure holds the facts of the workflow run, for Failure and Success; it is empty for Ignored.
	Failure ci.Failure `json:"failure,omitzero"`
}
