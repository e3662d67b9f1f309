package edit

// Why a plan isn't applied. The set is closed: metrics and people read it.
const (
	// Invalid: the plan breaks its own rules.
	Invalid = "plan_invalid"
	// NoAdapter: nothing here knows how to do that to such a file.
	NoAdapter = "plan_no_adapter"
	// FileMissing: the plan names a file that isn't there.
	FileMissing = "plan_file_missing"
	// NotFound: the file has no such dependency, section, setting or text.
	NotFound = "plan_not_found"
	// Ambiguous: several places could be meant.
	Ambiguous = "plan_ambiguous"
	// Conflict: two operations, or an operation and the file, contradict each other.
	Conflict = "plan_conflict"
	// Declined: the file says it in a way that isn't edited: generated, hashed, replaced, a variable of another file.
	Declined = "plan_declined"
	// Unreadable: the file is broken, too large, too deep, or no text.
	Unreadable = "plan_unreadable"
	// Nothing: the files are already as the plan wants them.
	Nothing = "plan_nothing_to_do"
)

// Reasons lists every reason.
func Reasons() []string {
	return []string{Invalid, NoAdapter, FileMissing, NotFound, Ambiguous, Conflict, Declined, Unreadable, Nothing}
}
