package fix

import (
	"cmp"
	"regexp"
	"sort"
	"strings"

	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/policy"
)

// maxWanted bounds how many files a plan asks for.
const maxWanted = 100

// Match says that a fixer applies, and which of its files the failure names; none when it names none.
type Match struct {
	Fixer string
	Files []string
}

// Match returns the fixers that apply to a failure, cheapest first. The files are the repository's, as paths with
// slashes.
func (c *Catalogue) Match(report failure.Report, repoFiles []string) []Match {
	var out []Match
	for _, e := range c.entries {
		if e.applies(report, repoFiles) {
			out = append(out, Match{Fixer: e.Name, Files: e.named(report.Files, repoFiles)})
		}
	}
	return out
}

func (e *entry) applies(report failure.Report, repoFiles []string) bool {
	// A step that is an action has no command; its title names the action.
	command := cmp.Or(report.Command, report.Step)
	fits := command != "" && anyMatches(e.commands, command)
	for i := 0; !fits && i < len(report.Excerpt); i++ {
		fits = anyMatches(e.logs, report.Excerpt[i].Text)
	}
	if !fits {
		return false
	}
	for _, glob := range e.When.Files {
		found := false
		for _, f := range repoFiles {
			if found = ownFile(f) && matchesAny([]string{glob}, f); found {
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func anyMatches(exprs []*regexp.Regexp, text string) bool {
	for _, re := range exprs {
		if re.MatchString(text) {
			return true
		}
	}
	return false
}

// ChecksStyle says whether a failure is that of a command which a formatter or linter of the catalogue knows as a check
// of its own, and names files that it may touch: then what it prints is about those files, and may quote anything.
func (c *Catalogue) ChecksStyle(m Match, command string) bool {
	e := c.entry(m.Fixer)
	if e == nil || len(m.Files) == 0 || e.Kind != policy.KindFormat && e.Kind != policy.KindLint {
		return false
	}
	_, known := e.knownCheck(command)
	return known
}

// named are the repository's files that the failure names and that the fixer may touch. A tool that ran in a
// subfolder names files from there, so a name that fits the end of exactly one path means it.
func (e *entry) named(names, repoFiles []string) []string {
	if len(names) == 0 {
		return nil
	}
	have := make(map[string]bool, len(repoFiles))
	for _, f := range repoFiles {
		have[f] = true
	}
	chosen := map[string]bool{}
	for _, name := range names {
		// An action marks the lines that name files, without a blank between.
		name = strings.TrimPrefix(name, "[error]")
		if !have[name] {
			name = onlySuffix(name, repoFiles)
		}
		if name != "" && ownFile(name) && matchesAny(e.Touches, name) {
			chosen[name] = true
		}
	}
	var out []string
	for name := range chosen {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

func onlySuffix(name string, repoFiles []string) string {
	found := ""
	for _, f := range repoFiles {
		if strings.HasSuffix(f, "/"+name) {
			if found != "" {
				return ""
			}
			found = f
		}
	}
	return found
}

var (
	climbs   = regexp.MustCompile(`(?:^|[\s/'"=])\.\.(?:/|\s|['"]|$)`)
	absolute = regexp.MustCompile(`[\s'"=]/`)
	isCheck  = regexp.MustCompile(`^(?:npx )?.*prettier .*(?:--check|-c|--list-different|-l)\b`)
)

// KnownCheck says whether a command from a log is one that the catalogue knows as a check, and returns the command
// to run. Such a command holds no more than the words that its expression spells out: no second command, no
// substitution of the log's own making, no path out of the work tree.
func (c *Catalogue) KnownCheck(command string) (string, bool) {
	for _, e := range c.entries {
		if run, ok := e.knownCheck(command); ok {
			return run, true
		}
	}
	return "", false
}

func (e *entry) knownCheck(command string) (string, bool) {
	command = strings.TrimSpace(command)
	// The one absolute path that a check may name: it shows on the log what the check tests.
	words := strings.ReplaceAll(command, " | tee /dev/stderr", "")
	if command == "" || len(command) > 1000 || strings.ContainsAny(command, "\n\r\x00") || climbs.MatchString(words) || absolute.MatchString(words) {
		return "", false
	}
	if strings.Contains(command, "prettier") && !isCheck.MatchString(command) {
		return "", false
	}
	return command, anyMatches(e.checks, command)
}

// Wants are the files whose contents Plan needs for a match, at most a hundred, nearest to the root first.
func (c *Catalogue) Wants(m Match, repoFiles []string) []string {
	e := c.entry(m.Fixer)
	if e == nil {
		return nil
	}
	var out []string
	for _, f := range repoFiles {
		if ownFile(f) && matchesAny(e.Reads, f) {
			out = append(out, f)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := strings.Count(out[i], "/"), strings.Count(out[j], "/")
		if a != b {
			return a < b
		}
		return out[i] < out[j]
	})
	return out[:min(len(out), maxWanted)]
}
