package failure

import (
	"regexp"
	"strconv"
	"strings"
)

// maxDiagnostics is how many diagnostics of one log are kept.
const maxDiagnostics = 500

// Diagnostic is what a tool says about a place in a file. Line and Column count from 1; 0 is not said.
type Diagnostic struct {
	Tool    string `json:"tool,omitempty"`
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Message string `json:"message"`
}

// diagnoser parses the output of tools line by line. It knows families of formats rather than tools.
type diagnoser struct {
	out  []Diagnostic
	seen map[Diagnostic]bool
	tool string
	// clean is done to a message before it is cut.
	clean func(string) string
	// header is the file that the lines below it are about.
	header string
	// said is the message that a place below it belongs to.
	said string
	// open says that the last diagnostic waits for its message.
	open bool
}

func diagnose(lines []Line, command string, clean func(string) string) []Diagnostic {
	d := &diagnoser{seen: map[Diagnostic]bool{}, tool: toolOf(command), clean: clean}
	for _, l := range lines {
		if len(d.out) >= maxDiagnostics {
			break
		}
		d.see(checkout.ReplaceAllString(l.Text, ""))
	}
	return d.out
}

func (d *diagnoser) see(text string) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		d.open = false
		return
	}
	if d.open {
		d.open = false
		if m := codeAndMessage.FindStringSubmatch(trimmed); m != nil && strings.TrimLeft(text, " \t") != text {
			last := &d.out[len(d.out)-1]
			last.Rule, last.Message = m[1], m[2]
			return
		}
	}
	if quoted.MatchString(text) {
		return
	}
	for i := range formats {
		f := &formats[i]
		if len(f.any) > 0 && !containsAny(text, f.any) {
			continue
		}
		if m := f.re.FindStringSubmatch(text); m != nil && d.take(f, m) {
			return
		}
	}
	d.noteHeader(text, trimmed)
}

// quoted is a line of source or a pointer into it, below a diagnostic.
var quoted = regexp.MustCompile(`^\s*\d*\s*\|(?:\s|$)|^\s*[\^~]+\s*$`)

// noteHeader remembers a line that the next ones are about: a file's name, or a message without a place.
func (d *diagnoser) noteHeader(text, trimmed string) {
	switch m := message.FindStringSubmatch(trimmed); {
	case m != nil:
		d.said = trimmed
	case text == trimmed && plausible(trimmed) && !strings.ContainsAny(trimmed, "\t:"):
		d.header = trimmed
	}
}

var (
	codeAndMessage = regexp.MustCompile(`^([A-Z]{1,4}\d{2,5}):\s+(.+)`)
	message        = regexp.MustCompile(`^(?:error|warning)(?:\[[\w:.-]+\])?: .`)
)

// take makes a diagnostic of what a format found, and says whether it is one.
func (d *diagnoser) take(f *format, m []string) bool {
	get := func(name string) string {
		if i := f.re.SubexpIndex(name); i >= 0 {
			return strings.TrimSpace(m[i])
		}
		return ""
	}
	out := Diagnostic{Tool: f.tool, File: get("file"), Rule: get("rule"), Message: get("message")}
	if f.underHeader {
		out.File = d.header
	}
	if f.underMessage {
		if out.Message == "" {
			out.Message = d.said
		}
		d.said = ""
	}
	out.File = strings.TrimPrefix(out.File, "./")
	out.Line, _ = strconv.Atoi(get("line"))
	out.Column, _ = strconv.Atoi(get("column"))
	// A script may have no extension; a folder before it and a line and a column after it tell as much.
	script := out.Column > 0 && scriptName.MatchString(out.File)
	if !f.anyFile && !plausible(out.File) && !script || out.File == "" || f.needsMessage && out.Message == "" {
		return false
	}
	if out.Rule == "" {
		out.Rule = ruleOf(out.Message)
	}
	if out.Tool == "" {
		out.Tool = d.tool
	}
	out.Message = cut(d.clean(out.Message), maxText)
	if !d.seen[out] {
		d.seen[out] = true
		d.out = append(d.out, out)
		d.open = f.messageBelow
	}
	return true
}

var (
	// fileName is a name with an extension or one of the well-known ones without.
	fileName   = regexp.MustCompile(`(?:^|[/\\])(?:[^/\\]*\.[A-Za-z][\w+-]{0,14}|\.env[\w.]*|Makefile|GNUmakefile|Dockerfile|Containerfile|Gemfile|Rakefile|Podfile|Vagrantfile|Jenkinsfile|Procfile|Brewfile|Fastfile|BUILD|WORKSPACE|go\.mod|\.\w[\w.-]*)$`)
	scriptName = regexp.MustCompile(`^(?:[\w.-]+/)+[\w-]+$`)
	notFile    = regexp.MustCompile(`^(?:\w+://|www\.|\d+\.\d+)|\.(?:com|org|net|io):?$|^[\w.-]+@`)
)

// plausible says whether a text can be a file's name.
func plausible(name string) bool {
	return len(name) > 1 && len(name) <= 300 && fileName.MatchString(name) && !notFile.MatchString(name) && !strings.ContainsAny(name, "\"'`<>|*?{}=")
}

var rules = []*regexp.Regexp{
	regexp.MustCompile(`^(?:error|warning|info|note|fatal error)\s+([A-Z]{1,6}\d{2,6})\b`),
	regexp.MustCompile(`\(Rule:(\w+)`),
	regexp.MustCompile(`^\[?([A-Z]{1,6}\d{2,6})\b\]?`),
	regexp.MustCompile(`^(?:error|warning)\[([\w:]+)\]`),
	regexp.MustCompile(`^(?:\[\w\] |[A-Z]: )?([A-Z]\w+(?:/[A-Z]\w+)+)\b`),
	regexp.MustCompile(`[(\[]([a-z@][\w@/.-]*[\w])[)\]]\s*$`),
	regexp.MustCompile(`\((SA?\d{3,5}|ST\d{4}|QF\d{4})\)\s*$`),
	regexp.MustCompile(`\b(DL\d{4}|SC\d{4})\b`),
}

// ruleOf is the rule that a message names.
func ruleOf(message string) string {
	for _, re := range rules {
		if m := re.FindStringSubmatch(message); m != nil {
			return m[1]
		}
	}
	return ""
}

// tools are the programs that a command may name, the more telling first.
var tools = []string{
	"golangci-lint", "staticcheck", "gofumpt", "goimports", "gofmt", "govulncheck", "gosec", "clippy", "rustfmt", "cargo", "prettier", "eslint", "stylelint",
	"biome", "tslint", "tsc", "jest", "vitest", "mocha", "ruff", "black", "isort", "flake8", "pylint", "mypy", "pyright", "bandit", "pytest", "tox", "rubocop",
	"rspec", "phpstan", "psalm", "phpunit", "phpcs", "yamllint", "ansible-lint", "hadolint", "shellcheck", "shfmt", "actionlint", "markdownlint", "buf",
	"terraform", "tflint", "ktlint", "detekt", "checkstyle", "spotless", "scalafmt", "clang-format", "clang-tidy", "swiftlint", "dotnet", "msbuild", "gradle", "mvn", "sbt",
	"cmake", "go vet", "go test", "go build",
}

func toolOf(command string) string {
	for _, t := range tools {
		for rest := command; ; {
			i := strings.Index(rest, t)
			if i < 0 {
				break
			}
			end := i + len(t)
			if (i == 0 || !wordByte(rest[i-1])) && (end == len(rest) || !wordByte(rest[end])) {
				return t
			}
			rest = rest[end:]
		}
	}
	return ""
}
