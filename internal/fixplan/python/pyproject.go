package python

import (
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
	"github.com/sre-agent/sre-agent/internal/fixplan/tomlfile"
)

// list is an array of requirements: its place in the file and the names that a plan may give it.
type list struct {
	group string
	value tomlfile.Value
}

// Pyproject changes a pyproject.toml: PEP 621 dependencies (no group), its optional dependencies and PEP 735's
// dependency groups (the group's own name), build-system.requires ("build-system"), and Poetry's sections.
func Pyproject(src []byte, dep edit.Dependency) ([]byte, error) {
	if err := check(dep); err != nil {
		return nil, err
	}
	f, err := tomlfile.Parse(src)
	if err != nil {
		return nil, err
	}
	lists := arrays(f)
	if tables := poetry(f); len(tables) > 0 {
		if e, ok := f.Find("project", "dependencies"); !ok || e.Value.Kind != unstable.Array {
			return poetryChange(src, tables, dep)
		}
	}
	want := ""
	if dep.Action != edit.Remove {
		if want, err = specifier(dep.Version); err != nil {
			return nil, err
		}
	}
	return changeLists(src, lists, dep, want)
}

// arrays finds every list of requirements, the project's own first.
func arrays(f *tomlfile.File) []list {
	var out []list
	add := func(group string, v tomlfile.Value) {
		if v.Kind == unstable.Array {
			out = append(out, list{group, v})
		}
	}
	if e, ok := f.Find("project", "dependencies"); ok {
		add("", e.Value)
	}
	for _, path := range [][]string{{"project", "optional-dependencies"}, {"dependency-groups"}} {
		for _, e := range entriesOf(f, path...) {
			if len(e.Key) == 1 {
				add(e.Key[0], e.Value)
			}
		}
	}
	if e, ok := f.Find("build-system", "requires"); ok {
		add("build-system", e.Value)
	}
	return out
}

// entriesOf are a table's entries, whether it has a header or is written inline.
func entriesOf(f *tomlfile.File, path ...string) []tomlfile.Entry {
	if t := f.Table(path...); t != nil {
		return t.Entries
	}
	if e, ok := f.Find(path...); ok {
		return e.Value.Entries
	}
	return nil
}

func changeLists(src []byte, lists []list, dep edit.Dependency, want string) ([]byte, error) {
	var edits []edit.Edit
	var found []requirement
	var into *list
	for i, l := range lists {
		if dep.Group != l.group && (dep.Group != "" || dep.Action == edit.Add) {
			continue
		}
		if into == nil {
			into = &lists[i]
		}
		for j, item := range l.value.Items {
			if item.Kind != unstable.String {
				continue
			}
			r, ok := readRequirement(item.Text)
			if !ok || normal(r.name) != normal(dep.Name) {
				continue
			}
			found = append(found, r)
			switch {
			case dep.Action == edit.Remove:
				edits = append(edits, dropItem(src, l.value, j))
			case !sameSpec(r.spec, want):
				text := item.Text[:r.start] + want + item.Text[r.end:]
				edits = append(edits, edit.Edit{Start: item.Start, End: item.End, Text: tomlfile.Quoted(src, item.Start, text)})
			}
		}
	}
	if err := decide(dep, found, want); err != nil {
		return nil, err
	}
	if dep.Action == edit.Add && len(found) == 0 {
		if into == nil {
			return nil, fault.Permf(edit.NotFound, "the file has no list of dependencies for group %q", dep.Group)
		}
		edits = append(edits, addItem(src, into.value, dep.Name+want)...)
	}
	return edit.Do(src, edits...)
}

// addItem puts a string behind an array's last one, in the way that this one stands there.
func addItem(src []byte, array tomlfile.Value, text string) []edit.Edit {
	last := -1
	for i, item := range array.Items {
		if item.Kind == unstable.String {
			last = i
		}
	}
	if last < 0 {
		gap := ""
		if len(array.Items) > 0 {
			gap = ", "
		}
		return []edit.Edit{{Start: array.Start + 1, End: array.Start + 1, Text: tomlfile.Quoted(nil, 0, text) + gap}}
	}
	item := array.Items[last]
	quoted := tomlfile.Quoted(src, item.Start, text)
	if stop := edit.LineStop(src, item.End); edit.LineStart(src, item.Start) > array.Start && stop <= array.End {
		line := edit.Edit{Start: stop, End: stop, Text: edit.Indent(src, item.Start) + quoted + "," + edit.LineEnd(src)}
		if comma(src, item.End) > 0 {
			return []edit.Edit{line}
		}
		return []edit.Edit{{Start: item.End, End: item.End, Text: ","}, line}
	}
	return []edit.Edit{{Start: item.End, End: item.End, Text: ", " + quoted}}
}

// comma is the place behind a comma that follows on the line, or 0.
func comma(src []byte, at int) int {
	for ; at < len(src) && (src[at] == ' ' || src[at] == '\t'); at++ {
	}
	if at < len(src) && src[at] == ',' {
		return at + 1
	}
	return 0
}

// dropItem takes an item with its comma away, and its line when nothing else stands on it.
func dropItem(src []byte, array tomlfile.Value, i int) edit.Edit {
	item := array.Items[i]
	end := max(item.End, comma(src, item.End))
	if whole := edit.Lines(src, item.Start, lineRest(src, end)); whole.Start > array.Start && whole.End <= array.End && whole.Start != item.Start {
		return whole
	}
	if end > item.End {
		return edit.Edit{Start: item.Start, End: end + len(src[end:]) - len(strings.TrimLeft(string(src[end:]), " \t"))}
	}
	before := strings.TrimRight(string(src[:item.Start]), " \t")
	return edit.Edit{Start: len(strings.TrimSuffix(before, ",")), End: item.End}
}
