package edit

// Action is what is done to a dependency.
type Action int

// The actions.
const (
	Add Action = iota
	Pin
	Remove
)

// Dependency is a change of one dependency of a manifest. Version is empty for Remove; Group may be empty.
type Dependency struct {
	Action  Action
	Name    string
	Version string
	Group   string
}

// Setting is a change of one setting.
type Setting struct {
	Key   []string
	Value string
}
