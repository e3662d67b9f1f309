package failure

import (
	"regexp"
	"strings"
)

// mark is a sign that a line belongs to a failure, or that it doesn't.
type mark struct {
	name string
	// any are words of which a line, in small letters, holds one; empty means that the expression alone decides.
	any []string
	// re looks at the line as it stands.
	re *regexp.Regexp
}

// marks are the signs, general to all tools and languages. A line may carry several.
var marks = []mark{
	{"error word", []string{"error"}, regexp.MustCompile(`(?i)(?:^|[^\w/.-])(?:[\w.:]*error)s?(?:$|[^\w/-])`)},
	{"error at start", []string{"error", "fatal", "err!"}, regexp.MustCompile(`(?i)^\W{0,4}(?:npm )?(?:error|fatal|err!)(?:$|[^\w-])`)},
	{"failed word", []string{"fail"}, regexp.MustCompile(`(?i)(?:^|[^\w/.-])fail(?:ed|ure|ures|ing|s)?(?:$|[^\w/-])`)},
	{"failed shout", []string{"fail"}, regexp.MustCompile(`(?:^|[^\w-])FAIL(?:ED|URE|URES|ING|S)?\b`)},
	{"failed count", []string{"fail", "error"}, regexp.MustCompile(`(?i)\b[1-9]\d* (?:\w+ )?(?:errors?|fail(?:ed|ures?|ing)|problems?|offenses?)\b|\b(?:errors?|fail(?:ed|ures?))\s*[:=]\s*[1-9]`)},
	{"nothing failed", []string{"fail", "error"}, regexp.MustCompile(`(?i)\b(?:0|no) (?:errors?|fail(?:ed|ures?)|failing)\b|\b(?:errors?|fail(?:ed|ures?))\s*[:=]\s*0\b`)},
	{"exception", []string{"exception", "error:", "panic:", "traceback"}, regexp.MustCompile(`(?:\w*Exception|[A-Z]\w*Error)\b|^\s*(?:panic:|Traceback)|goroutine \d+`)},
	{"assertion", []string{"assert", "expect", "actual", "should", "got:", "want"}, nil},
	{"cause", []string{
		"cannot", "can't", "could not", "couldn't", "unable to", "not found", "no such", "undefined", "unexpected", "invalid", "missing",
		"denied", "refused", "timed out", "timeout", "unresolved", "not defined", "not exist", "mismatch", "conflict", "unknown", "must ", "killed", "abort",
		"undeclared", "no space", "broken",
	}, nil},
	{"place", []string{":"}, regexp.MustCompile(`[\w)\]]\.\w{1,8}:\d+|\w\.\w{1,8}\(\d+(?:,\s*\d+)?\)|line \d+|^\s*\d+:\d+\s`)},
	{"place at start", nil, regexp.MustCompile(`^\s*(?:\[\w+\] )?(?:\S*/)?[\w.+@-]+\.\w{1,8}[:(]\d+`)},
	{"frame", []string{"at ", "file \"", "from ", " in ", "@"}, regexp.MustCompile(`^\s*(?:at |from \S+:\d+|File "|in \S+ |#\d+ |@?\S+@\S+:\d+)|^\s+\S+\.\w{1,5}:\d+`)},
	{"pointer", []string{"^", "~~", "|", "-->", "│"}, regexp.MustCompile(`^\s*(?:\d+\s*)?[|│]|^[\s.]*[\^~]+\s*$|^\s*-->|^\s*>\s*\d+ ?[|│]`)},
	{"indent", nil, regexp.MustCompile(`^(?:\s{2,}|\t)\S`)},
	{"patch", nil, regexp.MustCompile(`^\s*(?:@@ |[-+]{1,3}(?:[^-+\s]|\s\S))`)},
	{"numbered", nil, regexp.MustCompile(`^\s*\d+\) \S`)},
	{"cross", []string{"✗", "✕", "✘", "×", "✖", "●", "not ok", "ℹ", "❌", "🚨", "💥"}, nil},
	{"fine", []string{"ok", "pass", "✓", "✔", "success", "done"}, regexp.MustCompile(`(?i)^\s*(?:✓|✔|ok\b|pass(?:ed)?\b)|\b(?:ok|pass(?:ed)?|succe(?:ss|eded)|success(?:ful|fully)|done)\W*(?:\d+m?s\W*)?$`)},
	{"failures follow", []string{"failures:", "failing", "failures", "errors:", "failed tests", "summary", "failed in"}, regexp.MustCompile(`(?i)^[\s=*_-]*(?:\d+\) )?(?:failures?|errors|failed tests|summary of failures|short test summary info|failed (?:tests|specs|examples|scenarios))\b`)},
	{"failure head", []string{"fail", "error", "●", "stdout ----", "not ok", "___"}, regexp.MustCompile(`^\s*(?:--- FAIL|●|(?:FAIL|ERROR|Failure|Error|FAILED):|FAIL\s|_{3,} \S.* _{3,}|={5,} (?:FAIL|ERROR)|---- .* stdout ----|not ok\b)`)},
	{"test count", []string{"test", "example", "spec", "scenario", "passing", "failing", "executed", "ran ", "assertion", "suites"}, regexp.MustCompile(`(?i)^\W*(?:\d+ (?:\w+ )?(?:tests?|examples?|specs?|scenarios?|passing|failing|pending|assertions)\b|tests?(?: run| suites)?:\s*\d|executed \d+|ran \d+|test suites:)`)},
	{"skipped", []string{"skip", "pending", "ignored", "todo"}, nil},
	{"dots", nil, regexp.MustCompile(`^[.․·FSsEI*\[\]\d/% ]{12,}$|^\.{8,}`)},
	{"colon", nil, regexp.MustCompile(`:\s*$`)},
	{"test named", []string{"test", "spec"}, regexp.MustCompile(`(?i)\btest[\w.:/]*\b|\b\w*spec\b`)},
	{"progress", []string{
		"downloading", "downloaded", "fetching", "receiving", "resolving", "installing", "installed", "unpacking", "setting up", "collecting",
		"cloning", "compiling", "building", "get:", "% ", "extracting", "preparing", "selecting", "running", "using ", "http://", "https://", "requirement already", "loading",
	}, nil},
	{"warning", []string{"warn", "deprecat", "notice"}, nil},
	{"note", nil, regexp.MustCompile(`^\s*\[?(?:INFO|DEBUG|info|debug|note|NOTE|TRACE)\b`)},
	{"command", nil, regexp.MustCompile(`^(?:\$|\+{1,3}|>|%) \S|^(?:npm|yarn|make|cd|git|export|sudo|bash|sh|python|pip|bundle|mvn|gradle) \S`)},
	{"process", []string{"exited with", "exit status", "exit code", "elifecycle", "make: ***", "make[", "process completed", "rake aborted", "returned exit", "error 1", "error 2"}, nil},
	{"npm tail", []string{"npm err!", "npm error", "yarnpkg.com", "debug log", "complete log", "npm-debug", "re-run maven", "[help ", "for more information", "run with --", "--stacktrace", "--scan", "--info or --debug"}, nil},
	{"build ended", []string{"done. your build", "marked build as failure", "finished: failure", "build failed", "build failure", "total time", "finished at", "finished in", "ran all test", "time:"}, nil},
	{"rule", nil, regexp.MustCompile(`^[\s*+]*[-=_*#~.─═]{5,}`)},
	{"fold", []string{"##[", "travis_", "section_", "setting environment"}, nil},
	{"path only", nil, regexp.MustCompile(`^\s*(?:\[?\w+\]? )?(?:\.{0,2}/)?[\w.@+-]+(?:/[\w.@+-]+)+(?:\.\w+)?:?$`)},
	{"long", nil, regexp.MustCompile(`^.{240}`)},
}

// marksOf are the marks of a line as a set of bits.
func marksOf(text string) uint64 {
	if strings.TrimSpace(text) == "" {
		return 0
	}
	if len(text) > maxText {
		text = text[:maxText]
	}
	lower := strings.ToLower(text)
	var set uint64
	for i := range marks {
		if marks[i].on(lower, text) {
			set |= 1 << i
		}
	}
	return set
}

func (m *mark) on(lower, text string) bool {
	if len(m.any) > 0 && !containsAny(lower, m.any) {
		return false
	}
	return m.re == nil || m.re.MatchString(text)
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
