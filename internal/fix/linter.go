package fix

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// nodeLinterRule is for the linters whose rules come from other packages, so that the project's dependencies have to
// be installed. The entry has the name of the tool.
func nodeLinterRule(e *entry, in Inputs) (decision, error) {
	dir, pkg, err := nodeDir(e.Name, in)
	if err != nil {
		return decision{}, err
	}
	deps, err := findDeps(dir, in)
	if err != nil {
		return decision{}, err
	}
	call := regexp.MustCompile(`^(?:npx (?:--no-install |--no |--yes |-y |-- )?)?` + e.Name + `(?:\s|$)`)
	command := cmp.Or(scriptCall(call, in.Report.Command, pkg, 4), strings.TrimSpace(in.Report.Command))
	var flags, patterns []string
	if known, ok := e.knownCheck(command); ok {
		flags, patterns = linterWords(call.ReplaceAllString(known, ""))
	}
	files := relative(dir, in.Match.Files)
	if len(files) == 0 && len(patterns) == 0 {
		return decision{}, fault.Permf(ReasonNoCheck, "the failure names no file, and its command no argument, for %s to check", e.Name)
	}
	return decision{
		dir: dir, command: command, files: repoPaths(dir, files), seeds: deps.seeds,
		values: map[string]any{
			"Files": quotePaths(files), "Flags": strings.Join(flags, " "), "Patterns": strings.Join(patterns, " "),
			"Install": deps.install(dir), "CacheName": deps.cacheName(),
		},
	}, nil
}

// Flags that only say how findings are told or counted, and those of the others that are followed by a value.
var (
	tellingFlags = []string{"--format", "-f", "--formatter", "--max-warnings", "--mw", "--cache", "--color", "--no-color", "--no-warn-ignored"}
	linterValues = []string{"--ext", "--config", "-c", "--ignore-path", "-i", "--ignore-pattern", "--ip", "--format", "-f", "--formatter", "--max-warnings", "--mw"}
)

// linterWords splits the words of a known check into the flags that a fix needs as well and the patterns.
func linterWords(text string) (flags, patterns []string) {
	words := word.FindAllString(text, -1)
	for i := 0; i < len(words); i++ {
		name, _, hasValue := strings.Cut(words[i], "=")
		if !strings.HasPrefix(name, "-") {
			patterns = append(patterns, words[i])
			continue
		}
		flag := words[i : i+1]
		if slices.Contains(linterValues, name) && !hasValue && i+1 < len(words) {
			i++
			flag = words[i-1 : i+1]
		}
		if !slices.Contains(tellingFlags, name) {
			flags = append(flags, flag...)
		}
	}
	return flags, patterns
}
