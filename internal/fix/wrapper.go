package fix

import "github.com/sre-agent/sre-agent/internal/fault"

// wrapperRule declines, always: a wrapper that does not verify is either broken or an attack, and which of the two
// can't be told from the repository that holds it. What is known here of the right checksums is nothing.
func wrapperRule(e *entry, in Inputs) (decision, error) {
	file := "the build wrapper"
	if len(in.Match.Files) > 0 {
		file = in.Match.Files[0]
	}
	return decision{}, fault.Permf(ReasonUntrusted, "%s doesn't verify and may have been tampered with: compare it with the checksum that its project publishes (%s)", file, e.Title)
}
