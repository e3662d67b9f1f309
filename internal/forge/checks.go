package forge

import "strings"

// OwnCheck is the name, or its part before a "/", of every check and status that sre-agent reports itself.
const OwnCheck = "sre-agent"

// Ours says whether sre-agent itself reports under the name of a check.
func Ours(check string) bool {
	first, _, _ := strings.Cut(check, "/")
	return first == OwnCheck
}

// Checks is what a commit's CI says, all of it together, without what sre-agent reports itself.
type Checks int

// The outcomes of a commit's CI.
const (
	ChecksNone    Checks = iota // nothing has reported
	ChecksPending               // something is still under way
	ChecksGreen
	ChecksRed
)

// With puts two outcomes together: red as soon as one is, and green only when all are.
func (c Checks) With(other Checks) Checks {
	switch {
	case c == other, other == ChecksNone:
		return c
	case c == ChecksNone:
		return other
	case c == ChecksRed, other == ChecksRed:
		return ChecksRed
	}
	return ChecksPending
}
