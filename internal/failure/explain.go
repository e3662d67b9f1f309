// Package failure reads a CI job's log and says what failed.
//
// It promises at most fifty short lines and a bounded amount of memory whatever the log holds, and that it never
// fails: a log that it doesn't understand gives the lines that look most like a failure. What it returns is what the
// log says, which a hostile repository writes: it is data, and it isn't redacted yet. It is pure: the one thing that
// it reads is the reader that it is given.
package failure

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

const (
	// MaxLines is the size of an excerpt.
	MaxLines = 50
	// maxText is where a line of an excerpt is cut.
	maxText = 500
	// maxFiles bounds the files that a failure names.
	maxFiles = 500
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
	// Class is the kind of failure; Evidence the line that says so, if one does.
	Class    Class `json:"class"`
	Evidence *Line `json:"evidence,omitempty"`
	// Confidence is how sure the class is, from 0 to 1.
	Confidence float64 `json:"confidence"`
	// Transient says that no change of the code would help, and that trying again may.
	Transient bool `json:"transient"`
	// Command is the failing shell command, of one or more lines; empty if the log doesn't say, or if the
	// step is no shell command.
	Command string `json:"command,omitempty"`
	// Step is the title of the failing step.
	Step string `json:"step,omitempty"`
	// Diagnostics are what compilers, linters and tests said about places in files.
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
	// Files are the paths that the failing step's output names, relative where the log allows it, each once.
	// They are guesses: only those that are files of the repository mean anything.
	Files []string `json:"files,omitempty"`
	// Text is the excerpt's text, joined.
	Text string `json:"text"`
}

// Explain reads a log whole.
func Explain(log []byte) Report {
	r, _ := Read(bytes.NewReader(log), nil)
	return r
}

// Read reads a log as a stream and explains it. The log of the same job when it last passed may be nil; with it,
// lines that it has too count as no part of the failure. The report is good as far as the log could be read.
func Read(log, passing io.Reader) (Report, error) {
	return ReadClean(log, passing, func(text string) string { return text })
}

// ReadClean is Read with every text made clean before any of it is cut, so that no cut leaves half a secret.
func ReadClean(log, passing io.Reader, clean func(string) string) (Report, error) {
	s := newSteps()
	if passing != nil {
		seen, err := readSet(passing)
		if err != nil {
			return Report{}, err
		}
		s.fresh = &difference{seen: seen}
	}
	err := eachLine(log, s.see)
	return s.report(clean).Redacted(clean), err
}

func eachLine(log io.Reader, see func(n int, raw []byte)) error {
	lines := newLineReader(log)
	for {
		raw, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		see(lines.number, raw)
	}
}

func (s *steps) report(clean func(string) string) Report {
	step := s.chosen()
	lines := step.lines()
	r := Report{Command: step.command, Step: step.title}
	files := newFileSet()
	for _, l := range lines {
		files.see(l.Text)
	}
	r.Files = files.names
	r.Excerpt = redactLines(s.excerpt(lines), clean)
	for i := range r.Excerpt {
		r.Excerpt[i].Text = cut(r.Excerpt[i].Text, maxText)
	}
	r.Text = joined(r.Excerpt)
	r.Diagnostics = diagnose(lines, r.Command, clean)
	r.classify(lines, clean)
	return r
}

// excerpt is what of a step's lines is shown: what a passing log doesn't have, if that is little enough.
func (s *steps) excerpt(lines []Line) []Line {
	if s.fresh == nil {
		return choose(lines, nil)
	}
	s.fresh.end()
	isNew := make(map[int]bool, len(s.fresh.out))
	for _, n := range s.fresh.out {
		isNew[n] = true
	}
	fresh := make([]bool, len(lines))
	var out []Line
	for i, l := range lines {
		if fresh[i] = isNew[l.Number]; fresh[i] && strings.TrimSpace(l.Text) != "" {
			out = append(out, l)
		}
	}
	if len(out) == 0 || len(out) > MaxLines {
		return choose(lines, fresh)
	}
	return out
}
