// Package python changes a Python project's dependencies: requirements files and pyproject.toml.
//
// It promises minimal changes: of a requirement only the version is written anew, so extras, markers and comments
// stay. Names and versions follow PEP 508 and PEP 440 and nothing else, so no address and no path gets in. What is
// hashed, generated, or comes from an address is declined. It is pure.
package python

import (
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

var (
	nameRE    = regexp.MustCompile(`^([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9])(\[[A-Za-z0-9][A-Za-z0-9._-]*(,[A-Za-z0-9][A-Za-z0-9._-]*)*\])?$`)
	versionRE = regexp.MustCompile(`^v?([0-9]+!)?[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.?post[0-9]+)?(\.?dev[0-9]+)?$`)
	clauseRE  = regexp.MustCompile(`^(~=|==|!=|<=|>=|<|>)([0-9A-Za-z.!]+?)(\.\*)?$`)
	// Poetry knows two operators more.
	caretRE = regexp.MustCompile(`^[~^]([0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?)$`)
	// A requirement: name, extras, version; what follows is a marker.
	requirementRE = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]\n]*\])?\s*`)
	specRE        = regexp.MustCompile(`^(~=|===?|!=|<=|>=|<|>)\s*[0-9A-Za-z.!*+_-]+(\s*,\s*(~=|===?|!=|<=|>=|<|>)\s*[0-9A-Za-z.!*+_-]+)*`)
	runsRE        = regexp.MustCompile(`[-_.]+`)
)

func normal(name string) string {
	name, _, _ = strings.Cut(name, "[")
	return strings.ToLower(runsRE.ReplaceAllString(name, "-"))
}

func check(dep edit.Dependency) error {
	if len(dep.Name) > 200 || !nameRE.MatchString(dep.Name) {
		return fault.Permf(edit.Invalid, "name %q is no Python package's name (PEP 508)", dep.Name)
	}
	if dep.Action == edit.Remove {
		return nil
	}
	if _, err := specifier(dep.Version); err != nil && !caretRE.MatchString(dep.Version) {
		return err
	}
	return nil
}

// specifier reads a version, or a list of clauses as in ">=1,<2". A version alone means exactly that one.
func specifier(text string) (string, error) {
	if versionRE.MatchString(text) {
		return "==" + text, nil
	}
	for _, clause := range strings.Split(text, ",") {
		m := clauseRE.FindStringSubmatch(clause)
		if len(text) > 200 || m == nil || !versionRE.MatchString(m[2]) || (m[3] != "" && m[1] != "==" && m[1] != "!=") {
			return "", fault.Permf(edit.Invalid, "version %q is no Python version or range (PEP 440), such as 1.2.3 or >=1.2,<2", text)
		}
	}
	return text, nil
}

// requirement is a PEP 508 requirement and the place of its version in the text.
type requirement struct {
	name       string
	spec       string
	start, end int
	// fixed says why its version can't be changed.
	fixed string
}

func readRequirement(text string) (requirement, bool) {
	m := requirementRE.FindStringSubmatchIndex(text)
	if m == nil {
		return requirement{}, false
	}
	head := strings.TrimRight(text[:m[1]], " \t")
	r := requirement{name: text[m[2]:m[3]], start: len(head), end: len(head)}
	rest := text[m[1]:]
	if spec := specRE.FindString(rest); spec != "" {
		r.spec, r.start, r.end = strings.Join(strings.Fields(spec), ""), m[1], m[1]+len(spec)
		rest = rest[len(spec):]
	}
	switch rest = strings.TrimSpace(rest); {
	case strings.HasPrefix(rest, "@"):
		r.fixed = "comes from an address"
	case strings.HasPrefix(rest, "("):
		r.fixed = "has its version in parentheses"
	case rest != "" && rest[0] != ';' && rest[0] != '#':
		return requirement{}, false
	}
	return r, true
}

// sameSpec says whether two lists of clauses are one but for their order.
func sameSpec(a, b string) bool {
	count := map[string]int{}
	for _, clause := range strings.Split(a, ",") {
		count[clause]++
	}
	for _, clause := range strings.Split(b, ",") {
		count[clause]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// decide says why what was found can't be changed.
func decide(dep edit.Dependency, found []requirement, want string) error {
	for _, r := range found {
		switch {
		case r.fixed != "":
			return fault.Permf(edit.Declined, "%s %s", r.name, r.fixed)
		case dep.Action == edit.Add && !sameSpec(r.spec, want):
			return fault.Permf(edit.Conflict, "%s is there already as %q: pin_dependency changes it", r.name, r.name+r.spec)
		case dep.Action != edit.Add && r.spec != found[0].spec:
			return fault.Permf(edit.Ambiguous, "%s is there several times, with different versions", r.name)
		}
	}
	if dep.Action == edit.Pin && len(found) == 0 {
		return fault.Permf(edit.NotFound, "%s is not there: add_dependency adds it", dep.Name)
	}
	return nil
}
