package fix

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// toolSpec says what a tool is called where repositories pin and call it, and where it comes from.
type toolSpec struct {
	// Names are what the program is called on a command line and in files of versions, the first before all.
	Names []string `yaml:"names"`
	// Packages are what "go install" builds, one for each major version that needs another path.
	Packages []string `yaml:"packages"`
	// Actions are the actions of a workflow and the repositories of pre-commit that bring the tool.
	Actions []string `yaml:"actions"`
	// Logs are expressions whose one group is the version that a log names.
	Logs []string `yaml:"logs"`
	// Find are the names that "find" looks for where the failure names no file.
	Find []string `yaml:"find"`
	// Modes are the flags that say what to print or when to stop; Flags those that change what the tool makes of a
	// file. Each is the expression of a whole word, or of a word and its value with a blank between.
	Modes []string `yaml:"modes"`
	Flags []string `yaml:"flags"`
}

const versionExpr = `v?(\d{1,4}\.\d{1,4}(?:\.\d{1,6}(?:-[0-9A-Za-z.]{1,60}(?:-[0-9a-f]{12})?)?)?)`

// pin is a version, as "v1.2.3", or "v1.2" for whatever is newest of it, and where it stands.
type pin struct{ version, from string }

func (p pin) exact() bool {
	return strings.Count(semver.Canonical(p.version), ".") == strings.Count(p.version, ".") || strings.Contains(p.version, "-")
}

// pinned is the version of the tool that the repository's CI uses. What the log says of the very run comes first. It
// declines when nothing says it, or when what says it disagrees.
func (t toolSpec) pinned(in Inputs) (pin, error) {
	for _, l := range in.Report.Excerpt {
		for _, expr := range t.Logs {
			if m := compiled(expr).FindStringSubmatch(l.Text); m != nil && semver.IsValid("v"+m[1]) {
				return pin{"v" + m[1], "the log"}, nil
			}
		}
	}
	var found []pin
	for _, name := range sortedNames(in.Files) {
		for _, v := range t.pinsIn(name, in.Files[name]) {
			found = mergePin(found, pin{v, name})
		}
	}
	switch len(found) {
	case 0:
		return pin{}, fault.Permf(ReasonToolVersionUnknown, "nothing in the repository says which version of %s it uses", t.Names[0])
	case 1:
		return found[0], nil
	}
	return pin{}, fault.Permf(ReasonToolVersionUnknown, "%s says %s %s and %s says %s", found[0].from, t.Names[0], found[0].version, found[1].from, found[1].version)
}

// mergePin adds a version; v1.2 and v1.2.3 are one, the more exact.
func mergePin(found []pin, p pin) []pin {
	for i, f := range found {
		switch {
		case f.version == p.version || strings.HasPrefix(f.version, p.version+"."):
			return found
		case strings.HasPrefix(p.version, f.version+"."):
			found[i] = p
			return found
		}
	}
	return append(found, p)
}

func (t toolSpec) pinsIn(name string, data []byte) []string {
	text := string(data[:min(len(data), 1<<20)])
	switch path.Base(name) {
	case "go.mod":
		return t.pinsInGoMod(data)
	case ".tool-versions":
		return t.submatches(`(?m)^(?:NAME)[ \t]+`+versionExpr+`[ \t]*(?:#.*)?$`, text)
	case "mise.toml", ".mise.toml":
		return t.submatches(`(?m)^[ \t]*["']?(?:[\w:./-]*[:/])?(?:NAME)["']?[ \t]*=[ \t]*["']`+versionExpr+`["']`, text)
	}
	out := t.submatches(`(?i)(?m)^[ \t]*(?:export[ \t]+|readonly[ \t]+|ARG[ \t]+|ENV[ \t]+|-[ \t]+)?(?:NAME)_?VERSION["']?[ \t]*(?::=|\?=|=|:)[ \t]*["']?`+versionExpr+`["']?[ \t]*(?:#.*)?$`, text)
	for _, pkg := range t.Packages {
		out = append(out, submatches(regexp.QuoteMeta(pkg)+`@`+versionExpr+`(?:[\s"';)]|$)`, text)...)
	}
	for _, action := range t.Actions {
		out = append(out, pinsOfAction(action, text)...)
	}
	return out
}

// submatches puts the tool's names into an expression: NAME fits any of them, with "_" for "-" too.
func (t toolSpec) submatches(expr, text string) []string {
	var names []string
	for _, n := range t.Names {
		names = append(names, strings.ReplaceAll(regexp.QuoteMeta(n), "-", "[-_]?"))
	}
	return submatches(strings.ReplaceAll(expr, "NAME", strings.Join(names, "|")), text)
}

func submatches(expr, text string) []string {
	var out []string
	for _, m := range compiled(expr).FindAllStringSubmatch(text, 100) {
		out = append(out, "v"+m[1])
	}
	return out
}

var (
	stepStart   = regexp.MustCompile(`^\s*-\s`)
	versionLine = regexp.MustCompile(`^\s*(?:version|rev|[\w-]+[-_]version):\s*["']?` + versionExpr + `["']?\s*(?:#.*)?$`)
)

// pinsOfAction reads the version that a workflow's step, or an entry of pre-commit, gives to an action.
func pinsOfAction(action, text string) []string {
	var out []string
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		starts := regexp.MustCompile(`(?:uses|repo):\s*["']?(?:https://github\.com/)?` + regexp.QuoteMeta(action) + `(?:[@"'\s/]|\.git|$)`).MatchString(line)
		switch {
		case starts:
			inside = true
		case inside && stepStart.MatchString(line):
			inside = false
		case inside:
			if m := versionLine.FindStringSubmatch(line); m != nil {
				out = append(out, "v"+m[1])
			}
		}
	}
	return out
}

// pinsInGoMod is the version of a module that go.mod requires for a tool of its own.
func (t toolSpec) pinsInGoMod(data []byte) []string {
	if len(data) > 1<<20 {
		return nil
	}
	f, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return nil
	}
	var out []string
	for _, tool := range f.Tool {
		if !slices.Contains(t.Packages, tool.Path) {
			continue
		}
		best := ""
		for _, r := range f.Require {
			if strings.HasPrefix(tool.Path+"/", r.Mod.Path+"/") && len(r.Mod.Path) > len(best) {
				best = r.Mod.Path
				out = []string{r.Mod.Version}
			}
		}
		for _, r := range f.Replace {
			if r.Old.Path == best {
				return nil
			}
		}
	}
	return out
}

// goPackage is the package that holds the version's major, by the rule of Go's module paths.
func (t toolSpec) goPackage(version string) (string, error) {
	major := semver.Major(version)
	for _, pkg := range t.Packages {
		suffix := "v1"
		if m := compiled(`/(v\d+)(?:/|$)`).FindStringSubmatch(pkg); m != nil {
			suffix = m[1]
		}
		if suffix == major || suffix == "v1" && major == "v0" {
			return pkg, nil
		}
	}
	return "", fault.Permf(ReasonToolVersion, "the fixer knows no %s of the major version %s", t.Names[0], major)
}

// validate says what of an entry's tool is wrong.
func (t toolSpec) validate() error {
	if len(t.Names) == 0 {
		return nil
	}
	for _, group := range [][]string{t.Logs, t.Modes, t.Flags} {
		for _, expr := range group {
			if _, err := regexp.Compile(expr); err != nil {
				return fmt.Errorf("tool: %w", err)
			}
		}
	}
	return nil
}

func compiled(expr string) *regexp.Regexp { return regexp.MustCompile(expr) }

func sortedNames(files map[string][]byte) []string {
	var out []string
	for name := range files {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
