// Package node changes the dependencies of a package.json.
//
// It promises minimal changes: indentation, key order and line ends stay. A range is npm's own for a registry; an
// address, a path, a tag or an alias is refused, and one that is there already is left alone. Lock files are the
// package manager's to write. It is pure.
package node

import (
	"regexp"
	"slices"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
	"github.com/sre-agent/sre-agent/internal/fixplan/jsonfile"
)

var (
	// The rules of the npm package validate-npm-package-name, for new packages.
	nameRE    = regexp.MustCompile(`^(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*$`)
	versionRE = regexp.MustCompile(`^(\^|~|>=|<=|>|<|=)?[0-9]+(\.([0-9]+|[xX*]))?(\.([0-9]+|[xX*])(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?)?$`)
	rangeRE   = regexp.MustCompile(`^[\^~<>=v0-9xX*][\^~<>=0-9A-Za-z.*|+ -]*$`)
)

// Sections are where dependencies stand, in the order of a package.json.
var sections = []string{"dependencies", "devDependencies", "peerDependencies", "optionalDependencies"}

// section is the key for a group.
func section(group string) (string, bool) {
	switch group {
	case "", "prod", "dependencies":
		return sections[0], true
	case "dev", "devDependencies":
		return sections[1], true
	case "peer", "peerDependencies":
		return sections[2], true
	case "optional", "optionalDependencies":
		return sections[3], true
	}
	return "", false
}

func check(dep edit.Dependency) error {
	if len(dep.Name) > 214 || !nameRE.MatchString(dep.Name) {
		return fault.Permf(edit.Invalid, "name %q is no npm package's name", dep.Name)
	}
	if _, ok := section(dep.Group); !ok {
		return fault.Permf(edit.Invalid, "group %q is none of dev, peer and optional", dep.Group)
	}
	if dep.Action != edit.Remove && (len(dep.Version) > 100 || !versionRE.MatchString(dep.Version)) {
		return fault.Permf(edit.Invalid, "version %q is no npm version or range, such as 1.2.3, ^1.2.3 or ~1.2", dep.Version)
	}
	return nil
}

// place is a section that has the dependency.
type place struct {
	object *jsonfile.Node
	value  *jsonfile.Node
}

// Manifest changes a package.json. Without a group, an addition goes to dependencies, and a pin or a removal is of
// the one section that has it.
func Manifest(src []byte, dep edit.Dependency) ([]byte, error) {
	if err := check(dep); err != nil {
		return nil, err
	}
	root, err := jsonfile.Parse(src, false)
	if err != nil {
		return nil, err
	}
	found, err := places(root, dep)
	if err != nil {
		return nil, err
	}
	switch dep.Action {
	case edit.Add:
		return add(src, root, found, dep)
	case edit.Pin:
		return pin(src, found, dep)
	default:
		if len(found) > 1 {
			return nil, fault.Permf(edit.Ambiguous, "%s is in several sections: name the group", dep.Name)
		}
		if len(found) == 0 {
			return src, nil
		}
		return edit.Do(src, jsonfile.Drop(src, found[0].object, dep.Name))
	}
}

func places(root *jsonfile.Node, dep edit.Dependency) ([]place, error) {
	want, _ := section(dep.Group)
	var out []place
	for _, key := range sections {
		object := root.Get(key)
		if object == nil || (dep.Group != "" && key != want) {
			continue
		}
		if object.Kind != '{' {
			return nil, fault.Permf(edit.Unreadable, "%s is no object", key)
		}
		if value := object.Get(dep.Name); value != nil {
			out = append(out, place{object, value})
		}
	}
	return out, nil
}

func add(src []byte, root *jsonfile.Node, found []place, dep edit.Dependency) ([]byte, error) {
	if len(found) > 0 {
		if found[0].value.Text == dep.Version {
			return src, nil
		}
		return nil, fault.Permf(edit.Conflict, "%s is there already as %q: pin_dependency changes it", dep.Name, found[0].value.Text)
	}
	key, _ := section(dep.Group)
	if object := root.Get(key); object != nil {
		return edit.Do(src, jsonfile.Insert(src, object, dep.Name, jsonfile.Quote(dep.Version)))
	}
	return edit.Do(src, jsonfile.Section(src, root, key, sections, dep.Name, dep.Version))
}

func pin(src []byte, found []place, dep edit.Dependency) ([]byte, error) {
	if len(found) == 0 {
		return nil, fault.Permf(edit.NotFound, "%s is not there: add_dependency adds it", dep.Name)
	}
	if slices.ContainsFunc(found, func(p place) bool { return p.value.Text != found[0].value.Text }) {
		return nil, fault.Permf(edit.Ambiguous, "%s is in several sections with different versions: name the group", dep.Name)
	}
	var edits []edit.Edit
	for _, p := range found {
		if p.value.Kind != '"' || !rangeRE.MatchString(p.value.Text) {
			return nil, fault.Permf(edit.Declined, "%s is %q, which is no version of a registry", dep.Name, p.value.Text)
		}
		if p.value.Text != dep.Version {
			edits = append(edits, edit.Edit{Start: p.value.Start, End: p.value.End, Text: jsonfile.Quote(dep.Version)})
		}
	}
	return edit.Do(src, edits...)
}
