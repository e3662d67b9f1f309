// Package fixplan is a structured plan of a fix, as a rule or a model proposes it, and its application to a
// repository's files.
//
// It promises that a plan is read strictly (an unknown field, operation or category is refused), that it is bounded,
// and that applying it is deterministic: the same plan on the same files gives the same bytes. Whoever made the plan
// proposes; this package and the policy dispose. It is pure.
package fixplan

// Plan says what is wrong and what to do about it.
type Plan struct {
	// RootCause is one sentence.
	RootCause string `json:"root_cause"`
	// Category is one of Categories.
	Category string `json:"category"`
	// Confidence is from 0 to 1.
	Confidence float64 `json:"confidence"`
	// Files are the paths that the operations touch, relative to the repository's root.
	Files []string `json:"files"`
	// Operations are done in their order; there are 1 to MaxOperations.
	Operations []Operation `json:"operations"`
}

// MaxOperations bounds a plan.
const MaxOperations = 10

// Kind is what an operation does.
type Kind string

// The kinds of operation.
const (
	AddDependency Kind = "add_dependency"
	PinDependency Kind = "pin_dependency"
	UpdateConfig  Kind = "update_config"
	ModifyCode    Kind = "modify_code"
	RemoveUnused  Kind = "remove_unused"
)

// Operation is one change of one file.
type Operation struct {
	Kind Kind `json:"kind"`
	// File is the path that it changes, relative to the repository's root.
	File string `json:"file"`
	// Details say what exactly; their fields depend on the kind.
	Details Details `json:"details"`
	// Rationale is why, in one sentence.
	Rationale string `json:"rationale"`
	// Evidence is the line of the log or of a file that shows it.
	Evidence string `json:"evidence"`
}

// Details are the particulars of an operation; each kind uses some of them and refuses the others.
type Details struct {
	// Name and Version are a dependency's, for add_dependency, pin_dependency and remove_unused.
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	// Group is the manifest's section: dev, optional, a Maven scope, a Gradle configuration.
	Group string `json:"group,omitempty"`
	// Key and Value are a setting's, for update_config; Key is a dotted path.
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
	// Old and New are exact texts, for modify_code and remove_unused: Old stands in the file exactly once.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}
