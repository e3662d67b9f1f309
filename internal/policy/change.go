package policy

import (
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/patch"
)

// change is what a patch does to one file, line by line.
type change struct {
	patch.File
	added, removed, context []string
}

// changes puts the lines of a patch to their files.
func changes(p *patch.Patch) []change {
	out := make([]change, len(p.Files))
	before, after := map[string]int{}, map[string]int{}
	for i, f := range p.Files {
		out[i].File = f
		before[f.OldPath], after[f.Path()] = i, i
	}
	for _, l := range p.Added {
		if i, ok := after[l.File]; ok {
			out[i].added = append(out[i].added, l.Text)
		}
	}
	for _, l := range p.Removed {
		if i, ok := before[l.File]; ok {
			out[i].removed = append(out[i].removed, l.Text)
		}
	}
	for _, l := range p.Context {
		if i, ok := after[l.File]; ok {
			out[i].context = append(out[i].context, l.Text)
		}
	}
	return out
}

// is says whether one of the globs matches a path of the change, before or after.
func (c change) is(globs ...string) bool {
	for _, path := range c.Paths() {
		if _, ok := matchAny(globs, path); ok {
			return true
		}
	}
	return false
}

// visible are the lines of the file that were there before and that the patch shows.
func (c change) visible() []string { return append(append([]string(nil), c.removed...), c.context...) }

var noise = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\f", "", "\v", "", "'", `"`, "`", `"`)

// squeeze is a line as a formatter leaves it alone: without blanks, with one kind of quotes, without what ends it.
func squeeze(line string) string { return strings.TrimRight(noise.Replace(line), ",;") }

var layout = strings.NewReplacer(",", "", ";", "", "(", "", ")", "", `\`, "", "\n", "")

// reformatted says whether the change is one of layout alone: the same code on other lines.
func (c change) reformatted() bool {
	return layout.Replace(squeeze(strings.Join(c.removed, "\n"))) == layout.Replace(squeeze(strings.Join(c.added, "\n")))
}

// newLines are the added lines that match and that, but for their layout, were not removed in the same file.
func (c change) newLines(re *regexp.Regexp) []string {
	if c.reformatted() {
		return nil
	}
	return surplus(c.added, c.removed, whole(re))
}

// newWords are the matches in the added lines beyond those in the removed ones.
func (c change) newWords(re *regexp.Regexp) []string {
	return surplus(c.added, c.removed, func(line string) []string { return re.FindAllString(line, -1) })
}

// whole finds a line that matches.
func whole(re *regexp.Regexp) func(string) []string {
	return func(line string) []string {
		if !re.MatchString(line) {
			return nil
		}
		return []string{line}
	}
}

// surplus is what is found in the lines more often than in the others; layout makes no difference.
func surplus(lines, others []string, find func(string) []string) []string {
	left := map[string]int{}
	for _, line := range others {
		for _, text := range find(line) {
			left[squeeze(text)]++
		}
	}
	var out []string
	for _, line := range lines {
		for _, text := range find(line) {
			key := squeeze(text)
			if left[key]--; left[key] < 0 {
				out = append(out, text)
			}
		}
	}
	return out
}

// count is how often an expression matches in the lines.
func count(re *regexp.Regexp, lines []string) int {
	n := 0
	for _, line := range lines {
		n += len(re.FindAllStringIndex(line, -1))
	}
	return n
}

// anyOf is one expression of several.
func anyOf(expressions ...string) *regexp.Regexp {
	return regexp.MustCompile(`(?:` + strings.Join(expressions, `)|(?:`) + `)`)
}

// clip keeps a quoted piece of a patch short.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func isProse(path string) bool {
	_, ok := matchAny([]string{"*.md", "*.mdx", "*.rst", "*.adoc", "LICENSE*", "CHANGELOG*"}, path)
	return ok
}
