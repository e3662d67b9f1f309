// Package failure reads a CI job's log and says what failed.
//
// It promises at most fifty short lines and a bounded amount of memory whatever the log holds, and that it never
// fails: a log that it doesn't understand gives its last lines. What it returns is what the log says, which a
// hostile repository writes: it is data, and it isn't redacted yet. It is pure.
package failure

import (
	"bytes"
	"regexp"
	"strings"
)

const (
	// MaxLines is the size of an excerpt.
	MaxLines = 50
	// maxText is where a line of an excerpt is cut.
	maxText = 500
	// maxRaw is how much of a line of the log is looked at.
	maxRaw = 8 << 10
	// maxCommand is where a failing command is cut; a longer one is nobody's known check.
	maxCommand = 4 << 10
	// maxEnd is how much of a step's start and of its end is looked at line by line.
	maxEnd = 1 << 20
	// maxFiles bounds the files that a failure names.
	maxFiles = 500
	// context is how many lines stand before a decisive line.
	context = 12
)

// Line is a line of the log. Number counts from 1.
type Line struct {
	Number int    `json:"line"`
	Text   string `json:"text"`
}

// Report is what a log says about its failure.
type Report struct {
	// Excerpt shows the failure, in the log's order.
	Excerpt []Line `json:"excerpt"`
	// Command is the failing shell command, of one or more lines; empty if the log doesn't say, or if the
	// step is no shell command.
	Command string `json:"command,omitempty"`
	// Step is the title of the failing step.
	Step string `json:"step,omitempty"`
	// Files are the paths that the failing step's output names, relative where the log allows it, each once.
	// They are guesses: only those that are files of the repository mean anything.
	Files []string `json:"files,omitempty"`
	// Text is the excerpt's text, joined.
	Text string `json:"text"`
}

// Explain reads a log whole. It takes GitHub Actions' markers and falls back to the last lines of the log.
func Explain(log []byte) Report {
	step := findStep(log)
	r := Report{Command: step.command, Step: step.title}
	pick := newPicker()
	files := newFileSet()
	see := func(n int, text string) {
		pick.see(n, text)
		files.see(text)
	}
	head, tail, tailLine := ends(log[step.start:step.end], step.startLine)
	each(head, step.startLine, see)
	each(tail, tailLine, see)
	r.Excerpt = pick.lines()
	r.Files = files.names
	text := make([]string, len(r.Excerpt))
	for i, l := range r.Excerpt {
		text[i] = l.Text
	}
	r.Text = strings.Join(text, "\n")
	return r
}

// ends cuts the middle out of a step too long to be looked at line by line, and says at which line its tail starts.
func ends(log []byte, first int) (head, tail []byte, tailLine int) {
	if len(log) <= 2*maxEnd {
		return log, nil, 0
	}
	at := len(log) - maxEnd
	i := bytes.IndexByte(log[at:], '\n')
	if i < 0 {
		return log[:maxEnd], nil, 0
	}
	at += i + 1
	return log[:maxEnd], log[at:], first + bytes.Count(log[:at], []byte("\n"))
}

// each calls f with every line, cleaned, and its number.
func each(log []byte, first int, f func(n int, text string)) {
	for n := first; len(log) > 0; n++ {
		line, rest, _ := bytes.Cut(log, []byte("\n"))
		log = rest
		f(n, clean(line))
	}
}

var (
	timestamp = regexp.MustCompile(`^\x{feff}?\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z ?`)
	// CSI and OSC sequences, then any other escape.
	ansi = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])`)
)

// clean renders a raw line as a terminal would show it in the end.
func clean(raw []byte) string {
	if len(raw) > maxRaw {
		raw = raw[:maxRaw]
	}
	s := strings.ToValidUTF8(string(raw), "\uFFFD")
	s = timestamp.ReplaceAllString(strings.TrimRight(s, "\r"), "")
	s = ansi.ReplaceAllString(s, "")
	s = strings.TrimRight(s, "\r")
	// A carriage return starts the line again; a progress bar's last state is what stays.
	if i := strings.LastIndexByte(s, '\r'); i >= 0 {
		s = s[i+1:]
	}
	return strings.TrimRight(strings.Map(printable, s), " \t")
}

func printable(r rune) rune {
	if r == '\t' || (r >= 0x20 && r != 0x7f && (r < 0x80 || r > 0x9f)) {
		return r
	}
	return -1
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
