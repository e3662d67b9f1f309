package python

import (
	"slices"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
	"github.com/sre-agent/sre-agent/internal/fixplan/tomlfile"
)

// poetryTable is a section of Poetry's and the group that it is.
type poetryTable struct {
	group string
	table *tomlfile.Table
}

func poetry(f *tomlfile.File) []poetryTable {
	var out []poetryTable
	for i := range f.Tables {
		t := &f.Tables[i]
		switch p := t.Path; {
		case slices.Equal(p, []string{"tool", "poetry", "dependencies"}):
			out = append(out, poetryTable{"", t})
		case slices.Equal(p, []string{"tool", "poetry", "dev-dependencies"}):
			out = append(out, poetryTable{"dev", t})
		case len(p) == 5 && slices.Equal(p[:3], []string{"tool", "poetry", "group"}) && p[4] == "dependencies":
			out = append(out, poetryTable{p[3], t})
		}
	}
	return out
}

func poetryChange(src []byte, tables []poetryTable, dep edit.Dependency) ([]byte, error) {
	var edits []edit.Edit
	var found []string
	var into *tomlfile.Table
	for _, t := range tables {
		if dep.Group != t.group && (dep.Group != "" || dep.Action == edit.Add) {
			continue
		}
		if into == nil {
			into = t.table
		}
		for _, e := range t.table.Entries {
			if len(e.Key) == 0 || normal(e.Key[0]) != normal(dep.Name) {
				continue
			}
			v, err := poetryVersion(e)
			if err != nil && dep.Action != edit.Remove {
				return nil, err
			}
			found = append(found, v.Text)
			if dep.Action == edit.Remove {
				edits = append(edits, edit.Lines(src, e.Start, lineRest(src, e.End)))
			} else if v.Text != dep.Version {
				edits = append(edits, edit.Edit{Start: v.Start, End: v.End, Text: tomlfile.Quoted(src, v.Start, dep.Version)})
			}
		}
	}
	switch {
	case dep.Action == edit.Pin && len(found) == 0:
		return nil, fault.Permf(edit.NotFound, "%s is not there: add_dependency adds it", dep.Name)
	case len(found) > 1 && slices.ContainsFunc(found, func(v string) bool { return v != found[0] }):
		return nil, fault.Permf(edit.Ambiguous, "%s is there several times, with different versions", dep.Name)
	case dep.Action == edit.Add && len(found) > 0 && found[0] != dep.Version:
		return nil, fault.Permf(edit.Conflict, "%s is there already as %q: pin_dependency changes it", dep.Name, found[0])
	case dep.Action == edit.Add && len(found) == 0:
		if into == nil {
			return nil, fault.Permf(edit.NotFound, "the file has no group %q", dep.Group)
		}
		line, err := poetryLine(dep)
		if err != nil {
			return nil, err
		}
		edits = append(edits, into.Add(src, line))
	}
	return edit.Do(src, edits...)
}

// lineRest is where a comment that follows the place on its line ends, or the place.
func lineRest(src []byte, at int) int {
	for i := at; i < len(src) && src[i] != '\n'; i++ {
		if src[i] == '#' {
			stop := edit.LineStop(src, i)
			for stop > i && (src[stop-1] == '\n' || src[stop-1] == '\r') {
				stop--
			}
			return stop
		}
		if src[i] != ' ' && src[i] != '\t' {
			break
		}
	}
	return at
}

// poetryVersion is where a dependency's version stands: "1.2" or { version = "1.2", ... }.
func poetryVersion(e tomlfile.Entry) (tomlfile.Value, error) {
	if e.Value.Kind == unstable.String && (len(e.Key) == 1 || (len(e.Key) == 2 && e.Key[1] == "version")) {
		return e.Value, nil
	}
	for _, inner := range e.Value.Entries {
		if len(inner.Key) == 1 && inner.Key[0] == "version" && inner.Value.Kind == unstable.String {
			return inner.Value, nil
		}
	}
	return tomlfile.Value{}, fault.Permf(edit.Declined, "%s has no version that can be changed: it comes from elsewhere", e.Key[0])
}

func poetryLine(dep edit.Dependency) (string, error) {
	name, extras := dep.Name, ""
	for i := range dep.Name {
		if dep.Name[i] == '[' {
			name, extras = dep.Name[:i], dep.Name[i:]
			break
		}
	}
	if extras != "" {
		return "", fault.Permf(edit.Invalid, "name %q: Poetry's sections take no extras in a name", dep.Name)
	}
	for _, c := range name {
		if c == '.' {
			name = `"` + name + `"`
			break
		}
	}
	return name + ` = "` + dep.Version + `"`, nil
}
