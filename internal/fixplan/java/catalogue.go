package java

import (
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
	"github.com/sre-agent/sre-agent/internal/fixplan/tomlfile"
)

// library is an entry of a catalogue's [libraries] and where its version stands.
type library struct {
	entry   tomlfile.Entry
	module  string
	version tomlfile.Value
	// ref names the entry of [versions] that it uses.
	ref string
	// short says that it is written "group:artifact:version".
	short bool
}

// Catalogue changes a Gradle version catalogue (libs.versions.toml). Groups have no meaning there.
func Catalogue(src []byte, dep edit.Dependency) ([]byte, error) {
	if err := check(dep); err != nil {
		return nil, err
	}
	if dep.Group != "" {
		return nil, fault.Permf(edit.Invalid, "a version catalogue has no configurations: leave group %q away", dep.Group)
	}
	f, err := tomlfile.Parse(src)
	if err != nil {
		return nil, err
	}
	table := f.Table("libraries")
	if table == nil {
		return nil, fault.Permf(edit.NotFound, "the file has no [libraries]")
	}
	all := libraries(table)
	var found []library
	for _, l := range all {
		if l.module == dep.Name {
			found = append(found, l)
		}
	}
	switch {
	case len(found) > 1:
		return nil, fault.Permf(edit.Ambiguous, "%s is there %d times", dep.Name, len(found))
	case len(found) == 0 && dep.Action == edit.Pin:
		return nil, notFound(dep)
	case len(found) == 0 && dep.Action == edit.Remove:
		return src, nil
	case len(found) == 0:
		return addLibrary(src, table, dep)
	case dep.Action == edit.Remove:
		return edit.Do(src, edit.Lines(src, found[0].entry.Start, found[0].entry.End))
	}
	return pinLibrary(src, f, all, found[0], dep)
}

func libraries(table *tomlfile.Table) []library {
	var out []library
	for _, e := range table.Entries {
		l := library{entry: e}
		if e.Value.Kind == unstable.String {
			l.short = true
			parts := strings.SplitN(e.Value.Text, ":", 3)
			if len(parts) > 1 {
				l.module = parts[0] + ":" + parts[1]
			}
			if len(parts) == 3 {
				l.version = e.Value
				l.version.Text = parts[2]
			}
			out = append(out, l)
			continue
		}
		group, name := "", ""
		for _, inner := range e.Value.Entries {
			switch key := strings.Join(inner.Key, "."); {
			case inner.Value.Kind == unstable.InlineTable && key == "version":
				for _, v := range inner.Value.Entries {
					if len(v.Key) == 1 && v.Key[0] == "ref" {
						l.ref = v.Value.Text
					}
				}
			case inner.Value.Kind != unstable.String:
			case key == "module":
				l.module = inner.Value.Text
			case key == "group":
				group = inner.Value.Text
			case key == "name":
				name = inner.Value.Text
			case key == "version":
				l.version = inner.Value
			case key == "version.ref":
				l.ref = inner.Value.Text
			}
		}
		if l.module == "" {
			l.module = group + ":" + name
		}
		out = append(out, l)
	}
	return out
}

func pinLibrary(src []byte, f *tomlfile.File, all []library, l library, dep edit.Dependency) ([]byte, error) {
	place, text := l.version, dep.Version
	if l.short && place.Text != "" {
		text = l.module + ":" + dep.Version
	}
	if l.ref != "" {
		e, ok := f.Find("versions", l.ref)
		if !ok || e.Value.Kind != unstable.String {
			return nil, fault.Permf(edit.Declined, "the version of %s is %q, which is no plain entry of [versions]", dep.Name, l.ref)
		}
		group, _, _ := strings.Cut(dep.Name, ":")
		if slices.ContainsFunc(all, func(o library) bool { return o.ref == l.ref && !strings.HasPrefix(o.module, group+":") }) || pluginUses(f, l.ref) {
			return nil, fault.Permf(edit.Ambiguous, "the version %q is of more than %s", l.ref, group)
		}
		place = e.Value
	}
	switch {
	case place.Text == dep.Version:
		return src, nil
	case dep.Action == edit.Add:
		return nil, conflict(dep, place.Text)
	case !versionRE.MatchString(place.Text):
		return nil, fault.Permf(edit.Declined, "%s has no plain version there", dep.Name)
	}
	return edit.Do(src, edit.Edit{Start: place.Start, End: place.End, Text: tomlfile.Quoted(src, place.Start, text)})
}

func pluginUses(f *tomlfile.File, ref string) bool {
	table := f.Table("plugins")
	return table != nil && slices.ContainsFunc(libraries(table), func(l library) bool { return l.ref == ref })
}

func addLibrary(src []byte, table *tomlfile.Table, dep edit.Dependency) ([]byte, error) {
	_, artifact, _ := strings.Cut(dep.Name, ":")
	alias := strings.ToLower(strings.NewReplacer(".", "-", "_", "-").Replace(artifact))
	if slices.ContainsFunc(table.Entries, func(e tomlfile.Entry) bool { return len(e.Key) > 0 && e.Key[0] == alias }) {
		return nil, fault.Permf(edit.Conflict, "the alias %q is taken", alias)
	}
	return edit.Do(src, table.Add(src, alias+` = "`+dep.Name+":"+dep.Version+`"`))
}
