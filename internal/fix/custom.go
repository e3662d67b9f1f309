package fix

import (
	"regexp"
	"slices"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
)

// customRank puts a repository's own fixers before the catalogue's: who wrote them knew of the failure.
const customRank = 1

// With returns the catalogue with a repository's own fixers before its own entries. Their commands are the
// repository's base branch's, and run as every other step does: in the sandbox, without a network. It declines a name
// that the catalogue has already.
func (c *Catalogue) With(custom []repoconfig.CustomFixer) (*Catalogue, error) {
	if len(custom) == 0 {
		return c, nil
	}
	out := &Catalogue{}
	for _, f := range custom {
		if c.entry(f.Name) != nil {
			return nil, fault.Permf(repoconfig.ReasonBad, "%s: the custom fixer %q has the name of a built-in one: choose another", repoconfig.Path, f.Name)
		}
		e, err := customEntry(f)
		if err != nil {
			return nil, fault.Perm(repoconfig.ReasonBad, err)
		}
		out.entries = append(out.entries, e)
	}
	out.entries = append(out.entries, c.entries...)
	return out, nil
}

func customEntry(f repoconfig.CustomFixer) (*entry, error) {
	e := &entry{spec: spec{
		Name: f.Name, Kind: policy.KindGenerate, Rank: customRank, Title: "Run the repository's own fixer " + f.Name, Touches: f.Touches,
		When:  when{Commands: f.When.Commands, Logs: f.When.Logs, Files: f.When.Files},
		Fix:   stepSpec{Tree: AccessWrite, Script: "{{.Tool}}\n{{.Fix}}"},
		Check: stepSpec{Tree: AccessWrite, Script: "{{.Check}}"},
	}}
	if len(e.When.Files) == 0 {
		e.When.Files = []string{"**"}
	}
	for _, group := range []struct {
		from []string
		to   *[]*regexp.Regexp
	}{{f.When.Commands, &e.commands}, {f.When.Logs, &e.logs}} {
		for _, expr := range group.from {
			re, err := regexp.Compile(expr)
			if err != nil {
				return nil, err
			}
			*group.to = append(*group.to, re)
		}
	}
	e.decide = func(_ *entry, in Inputs) (decision, error) {
		return decision{dir: ".", command: in.Report.Command, values: map[string]any{
			"Tool": versionGuard(f.Tool), "Fix": f.Fix, "Check": f.Check,
		}}, nil
	}
	return e, e.validate()
}

// versionGuard ends a fix with WrongTool where a tool answers with another version than it should.
func versionGuard(t repoconfig.CustomTool) string {
	if t.Command == "" {
		return ":"
	}
	exact := `(^|[^0-9A-Za-z.])v?` + regexp.QuoteMeta(t.Version) + `([^0-9A-Za-z.]|$)`
	return "answer=$(" + t.Command + " 2>&1) || exit 122\nprintf '%s\\n' \"$answer\" | grep -qE -- " + Quote(exact) + " || exit 121"
}

// ExitReason is why a fix ended with a status: a tool's version where the script says so, else that it failed.
func ExitReason(code int) string {
	if i := slices.Index([]int{WrongTool, UnknownTool}, code); i >= 0 {
		return []string{ReasonToolVersion, ReasonToolVersionUnknown}[i]
	}
	return ReasonFixerFailed
}
