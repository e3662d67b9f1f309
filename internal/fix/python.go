package fix

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// pythonTool is what is known of a Python program: its hook repository, the words that check, and those that fix.
type pythonTool struct {
	hook  string
	check string
	fix   string
}

// pythonToolOf is the tool of an entry; for ruff it depends on the subcommand, its linter's unless the command or
// the log says otherwise.
func pythonToolOf(name string, in Inputs) pythonTool {
	switch name {
	case "black":
		return pythonTool{`psf/black(?:-pre-commit-mirror)?`, "black --check", "black"}
	case "isort":
		return pythonTool{`(?i:pycqa)/isort`, "isort --check-only --diff", "isort"}
	}
	t := pythonTool{`(?:astral-sh|charliermarsh)/ruff-pre-commit`, "ruff check --no-cache", "ruff check --no-cache --fix"}
	if ruffFormat.MatchString(in.Report.Command) || !strings.Contains(in.Report.Command, "ruff check") && wouldReformat.MatchString(in.Report.Text) {
		t.check, t.fix = "ruff format --no-cache --check", "ruff format --no-cache"
	}
	return t
}

var (
	ruffFormat    = regexp.MustCompile(`\bruff format\b`)
	wouldReformat = regexp.MustCompile(`(?m)^Would reformat: `)
	pyVersion     = regexp.MustCompile(`\b\d{1,4}\.\d{1,4}(?:\.\d{1,4})?(?:\.post\d+)?\b`)
)

func pythonFormatterRule(e *entry, in Inputs) (decision, error) {
	tool := pythonToolOf(e.Name, in)
	want, err := pythonVersion(e.Name, tool.hook, in)
	if err != nil {
		return decision{}, err
	}
	ready := pyVersion.FindString(in.Tools[e.Name]) == want
	if _, pip := in.Tools["pip"]; !ready && !pip {
		return decision{}, fault.Permf(ReasonToolVersion, "the repository uses %s %s and the sandbox has %q", e.Name, want, in.Tools[e.Name])
	}
	command := lastCall(e.Name, in.Report.Command)
	var flags, patterns []string
	if known, ok := e.knownCheck(command); ok {
		flags, patterns = pythonWords(known)
	}
	files := in.Match.Files
	if len(files) == 0 && len(patterns) == 0 {
		return decision{}, fault.Permf(ReasonNoCheck, "the failure names no file, and its command no argument, for %s to check", e.Name)
	}
	return decision{
		dir: ".", command: command, files: files, ready: ready,
		values: map[string]any{
			"Files": quotePaths(files), "Flags": strings.Join(flags, " "), "Patterns": strings.Join(patterns, " "),
			"CheckWith": tool.check, "FixWith": tool.fix, "Spec": Quote(e.Name + "==" + want), "CacheName": want,
		},
	}, nil
}

// lastCall is the first part of a command that calls a tool, the command itself if none does.
func lastCall(tool, command string) string {
	call := regexp.MustCompile(`^(?:python3? -m |poetry run |uv run |uvx |pipx run )?` + tool + `\b`)
	for _, part := range between.Split(strings.TrimSpace(command), 20) {
		if call.MatchString(part) {
			return pyPrefix.ReplaceAllString(part, "")
		}
	}
	return strings.TrimSpace(command)
}

var (
	pyPrefix   = regexp.MustCompile(`^(?:python3? -m |poetry run |uv run |uvx |pipx run )`)
	pyChecking = []string{"--check", "--check-only", "-c", "--diff", "-q", "--quiet", "-v", "--verbose", "--color", "--no-cache"}
	pyValues   = []string{"-l", "--line-length", "-t", "--target-version", "--profile", "--config", "--settings-path", "--sp", "--select", "--ignore", "--extend-select"}
)

// pythonWords splits the words of a known check into the flags that a fix needs as well and the patterns.
func pythonWords(command string) (flags, patterns []string) {
	words := word.FindAllString(command, -1)[1:]
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case slices.Contains(pyChecking, w), i == 0 && (w == "check" || w == "format"), strings.HasPrefix(w, "--output-format"):
		case slices.Contains(pyValues, w) && i+1 < len(words):
			flags = append(flags, w, words[i+1])
			i++
		case strings.HasPrefix(w, "-"):
			flags = append(flags, w)
		default:
			patterns = append(patterns, w)
		}
	}
	return flags, patterns
}

// pythonVersion is the one version of a tool that the repository pins, wherever it does; two that differ, or none,
// decline.
func pythonVersion(tool, hook string, in Inputs) (string, error) {
	found := map[string]bool{}
	for name, data := range in.Files {
		for _, re := range pinsIn(name, tool, hook) {
			for _, m := range re.FindAllSubmatch(data[:min(len(data), 8<<20)], 50) {
				found[string(m[1])] = true
			}
		}
	}
	switch len(found) {
	case 1:
		for v := range found {
			return v, nil
		}
	case 0:
		return "", fault.Permf(ReasonToolVersionUnknown, "nothing in the repository pins a version of %s", tool)
	}
	return "", fault.Permf(ReasonToolVersionUnknown, "the repository pins %d different versions of %s", len(found), tool)
}

// pinsIn are the ways in which a file pins a tool; the version is the first group.
func pinsIn(name, tool, hook string) []*regexp.Regexp {
	const version = `(\d{1,4}\.\d{1,4}(?:\.\d{1,4})?(?:\.post\d+)?)`
	exprs := []string{}
	switch base := path.Base(name); {
	case base == "poetry.lock" || base == "uv.lock" || base == "pdm.lock":
		exprs = append(exprs, `(?m)^name = "`+tool+`"\r?\nversion = "`+version+`"`)
	case base == ".pre-commit-config.yaml":
		exprs = append(exprs, `repo:\s*["']?https://github\.com/`+hook+`(?:\.git)?["']?\s*(?:#[^\n]*)?\n\s+rev:\s*["']?v?`+version+`\b`)
	case strings.HasPrefix(name, ".github/workflows/"):
		exprs = append(exprs, `\b`+tool+`(?:\[[\w,-]+\])?==`+version+`\b`, `uses:\s*psf/`+tool+`@`+version+`\b`)
	default:
		exprs = append(exprs, `(?m)(?:^|[\s"'])`+tool+`(?:\[[\w,-]+\])?\s*==\s*`+version+`(?:$|[\s"',;\\])`)
		if base == "pyproject.toml" {
			exprs = append(exprs, `(?m)^`+tool+`\s*=\s*"(?:==)?`+version+`"`, `(?ms)^\[tool\.`+tool+`\](?:[^\[]*\n)?required-version\s*=\s*"(?:==)?`+version+`"`)
		}
	}
	out := make([]*regexp.Regexp, len(exprs))
	for i, expr := range exprs {
		out[i] = regexp.MustCompile(expr)
	}
	return out
}
