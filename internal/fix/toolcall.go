package fix

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// call is one call of a tool as it stands in a command, a log or a file: the flags that shape its result, and every
// other word.
type call struct {
	flags string
	words []string
}

// called is how the repository's CI calls the tool: as the failing command does, else as the log shows, else as the
// files do that say how the repository is built. It declines when that can't be told, or when a call has a flag that
// the fixer doesn't know: without it, the tool may make something else of the files.
func (t toolSpec) called(in Inputs) (call, error) {
	var excerpt strings.Builder
	for _, l := range in.Report.Excerpt {
		excerpt.WriteString(l.Text + "\n")
	}
	var files strings.Builder
	for _, name := range sortedNames(in.Files) {
		if !strings.HasSuffix(name, ".mod") {
			files.Write(in.Files[name][:min(len(in.Files[name]), 1<<20)])
			files.WriteString("\n")
		}
	}
	for _, text := range []string{in.Report.Command, excerpt.String(), files.String()} {
		calls, unknown := t.callsIn(text)
		if len(calls) == 0 && unknown == "" {
			continue
		}
		if unknown != "" {
			return call{}, fault.Permf(ReasonNoCheck, "%s is called with %q, which the fixer doesn't know", t.Names[0], unknown)
		}
		for _, c := range calls {
			if c.flags != calls[0].flags {
				return call{}, fault.Permf(ReasonNoCheck, "%s is called with %q and with %q", t.Names[0], calls[0].flags, c.flags)
			}
		}
		return calls[0], nil
	}
	if len(t.Flags) > 0 {
		return call{}, fault.Permf(ReasonNoCheck, "nothing shows how %s is called", t.Names[0])
	}
	return call{}, nil
}

// callsIn finds the tool's calls in a text, and the first flag that nobody knows. A call with neither a flag nor
// another word, as in "which tool", says nothing and is left out.
func (t toolSpec) callsIn(text string) (calls []call, unknown string) {
	var names []string
	for _, n := range t.Names {
		names = append(names, regexp.QuoteMeta(n))
	}
	expr := compiled(`(?:^|[\s/("'` + "`" + `])(?:` + strings.Join(names, "|") + `)(?:@\S+)?[ \t]+([^\n|;&()<>\[\]#"` + "`" + `]+)`)
	for _, m := range expr.FindAllStringSubmatch(strings.ReplaceAll(text, "\\\n", " "), 50) {
		c, mode, odd := t.parseCall(strings.Fields(m[1]))
		if !mode {
			continue
		}
		if odd != "" && unknown == "" {
			unknown = odd
		}
		calls = append(calls, c)
	}
	return calls, unknown
}

// parseCall sorts a call's words. mode says that it is a call that reads or writes files, not one for a version or
// for help, and not the tool's name in a sentence.
func (t toolSpec) parseCall(words []string) (c call, mode bool, unknown string) {
	var flags []string
	for i := 0; i < len(words); i++ {
		w := strings.Trim(words[i], `'`)
		pair := ""
		if i+1 < len(words) {
			pair = w + " " + strings.Trim(words[i+1], `'`)
		}
		switch {
		case fits(t.Modes, pair):
			mode = true
			i++
		case fits(t.Modes, w):
			mode = true
			c.words = append(c.words, w)
		case fits(t.Flags, pair):
			mode = true
			flags = append(flags, pair)
			i++
		case fits(t.Flags, w):
			mode = true
			flags = append(flags, w)
		case strings.HasPrefix(w, "-") && unknown == "":
			unknown = w
		case !strings.HasPrefix(w, "-"):
			c.words = append(c.words, w)
		}
	}
	slices.Sort(flags)
	c.flags = strings.Join(slices.Compact(flags), " ")
	return c, mode, unknown
}

func fits(exprs []string, text string) bool {
	return text != "" && slices.ContainsFunc(exprs, func(expr string) bool {
		return compiled(`^(?:` + expr + `)$`).MatchString(text)
	})
}
