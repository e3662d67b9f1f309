// Package pulltext writes what a pull request says: its title, its text, its labels, and the message of its commit.
//
// It promises that each is a function of its input alone, so that whoever writes it again writes the same; that a text
// fits into the forge that it is for; and that what came from outside is shown as text (package markup). It is pure.
package pulltext

import (
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/markup"
)

//go:generate sh -c "go run ./gendoc < ../../docs/pull-requests.md > ../../docs/pull-requests.md.new && mv ../../docs/pull-requests.md.new ../../docs/pull-requests.md"

const (
	maxTitle   = 200
	maxSubject = 100
	maxCommand = 80
	maxLine    = 300
)

// Input is all that a pull request tells of.
type Input struct {
	Failure ci.Failure
	RunKey  string
	RunID   int64
	// Fence is that of the attempt which made the fix.
	Fence int64
	// Fixer, Title and Digest are the fix's.
	Fixer, Title, Digest string
	Report               evidence.Report
}

// Labels are what a pull request is marked with, on forges that have labels.
func Labels(report evidence.Report) []string {
	class := "needs-review"
	if report.Policy != nil && report.Policy.Class == "safe" {
		class = "safe"
	}
	return []string{"sre-agent", class}
}

// subject says what was done and by which tool.
func (in Input) subject() string {
	what, tool := markup.Inert(in.Title), markup.Inert(in.Fixer)
	if tool != "" && !strings.Contains(strings.ToLower(what), strings.ToLower(tool)) {
		what = tool + ": " + what
	}
	return markup.Clip(what, maxSubject)
}

// TitleOf names the tool and the check.
func TitleOf(in Input) string {
	title := in.subject()
	if c := in.Report.Check; c != nil {
		if command := markup.Inert(c.Command); command != "" {
			title += " so that " + markup.Clip(command, maxCommand) + " passes"
		}
	}
	return markup.Clip(title, maxTitle)
}

// CommitMessage depends on nothing but the recorded fix, so that every try builds the same commit.
func CommitMessage(in Input) string {
	inert := func(s string) string { return markup.Clip(markup.Inert(s), maxLine) }
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", in.subject())
	fmt.Fprintf(&b, "The workflow %q failed on %s.\n", inert(in.Failure.WorkflowName), inert(fmt.Sprintf("%.12s", in.Failure.Commit)))
	if c := in.Report.Check; c != nil {
		fmt.Fprintf(&b, "This check was red before this change and is green with it:\n\n    %s\n", inert(c.Command))
	}
	fmt.Fprintf(&b, "\nSre-Agent-Run: %s\nSre-Agent-Digest: %s\n", inert(in.RunKey), in.Digest)
	return b.String()
}
