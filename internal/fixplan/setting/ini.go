package setting

import (
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

var (
	sectionRE = regexp.MustCompile(`^\[([^\]\r\n]*)\]`)
	entryRE   = regexp.MustCompile(`^([^\s=:#;\[][^=:\r\n]*?)([ \t]*[=:][ \t]*)([^\r\n]*)`)
)

// iniEntry is where a value stands; one of several lines is marked.
type iniEntry struct {
	valueAt, valueTo int
	several          bool
}

// inINI changes a setting: the first part of the key is the section, if the file has sections; the rest is the name.
func inINI(src []byte, set edit.Setting) ([]byte, error) {
	if err := edit.Readable(src); err != nil {
		return nil, err
	}
	name := strings.Join(set.Key, ".")
	section := ""
	if sections := sectionsOf(src); len(sections) > 0 {
		for s := range sections {
			// The longest section that the key begins with: sections have dots too.
			if strings.HasPrefix(name, s+".") && len(s) > len(section) {
				section = s
			}
		}
		name = strings.TrimPrefix(strings.TrimPrefix(name, section), ".")
		if section != "" && sections[section] > 1 {
			return nil, fault.Permf(edit.Ambiguous, "section %q is there %d times", section, sections[section])
		}
	}
	found, at := entries(src, section, name)
	switch {
	case len(found) > 1:
		return nil, fault.Permf(edit.Ambiguous, "%s is there %d times", name, len(found))
	case len(found) == 0 && at < 0, len(found) == 0 && section == "" && len(set.Key) > 1:
		return nil, noSection(set)
	case len(found) == 0:
		return edit.Do(src, edit.After(src, at, name+" = "+set.Value))
	case found[0].several:
		return nil, notScalar(set)
	}
	return edit.Do(src, edit.Edit{Start: found[0].valueAt, End: found[0].valueTo, Text: set.Value})
}

func sectionsOf(src []byte) map[string]int {
	out := map[string]int{}
	for at := 0; at < len(src); at = edit.LineStop(src, at) {
		if m := sectionRE.FindSubmatch(src[at:edit.LineStop(src, at)]); m != nil {
			out[string(m[1])]++
		}
	}
	return out
}

// entries finds the setting in the section, and the place of the section's last entry or header, or -1.
func entries(src []byte, section, name string) ([]iniEntry, int) {
	var found []iniEntry
	now, last := "", -1
	mine := false
	for at := 0; at < len(src); at = edit.LineStop(src, at) {
		line := src[at:edit.LineStop(src, at)]
		if m := sectionRE.FindSubmatch(line); m != nil {
			now, mine = string(m[1]), false
			if now == section {
				last = at
			}
			continue
		}
		if now != section {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			// A value goes on on lines that are indented.
			if strings.TrimSpace(string(line)) != "" && mine {
				found[len(found)-1].several = true
			}
			if strings.TrimSpace(string(line)) != "" && last >= 0 {
				last = at
			}
			continue
		}
		m := entryRE.FindSubmatchIndex(line)
		mine = m != nil && strings.TrimSpace(string(line[m[2]:m[3]])) == name
		if m != nil {
			last = at
		}
		if mine {
			value := strings.TrimRight(string(line[m[6]:m[7]]), " \t")
			if i := strings.Index(value, " ;"); i >= 0 {
				value = strings.TrimRight(value[:i], " \t")
			} else if i := strings.Index(value, " #"); i >= 0 {
				value = strings.TrimRight(value[:i], " \t")
			}
			several := value == "" || strings.HasSuffix(value, `\`)
			found = append(found, iniEntry{valueAt: at + m[6], valueTo: at + m[6] + len(value), several: several})
		}
	}
	return found, last
}
