package pulltext

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/markup"
)

// budgets are how many bytes of an output, and how many lines of a log, are shown: the first with which the text fits is
// the one.
var budgets = []budget{{4000, 40}, {1500, 20}, {600, 8}, {240, 4}, {80, 1}, {0, 0}}

type budget struct{ output, lines int }

// Body tells a reviewer what was wrong, what was done, how it was judged and how to answer.
func Body(in Input, d markup.Dialect) string {
	for _, b := range budgets {
		if text := in.body(d, b); utf8.RuneCountInString(text) <= d.MaxBody {
			return text
		}
	}
	return in.short(d)
}

func (in Input) body(d markup.Dialect, most budget) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", in.cause())
	section(&b, "What failed")
	in.failed(&b, most)
	in.check(&b, most)
	section(&b, "How it was made and judged")
	in.judged(&b)
	section(&b, "How to answer")
	b.WriteString(answers)
	b.WriteString("\n" + d.Hidden(in.mark()))
	return b.String()
}

// short is for what fits in no other way.
func (in Input) short(d markup.Dialect) string {
	return in.cause() + "\n\nThe rest is too long for this forge; the commit's message and the run's page have it.\n\n" + d.Hidden(in.mark())
}

func section(b *strings.Builder, name string) { fmt.Fprintf(b, "\n### %s\n\n", name) }

// cause is one sentence: the first of what a model, a tool and the log have to say that is there.
func (in Input) cause() string {
	where := "Workflow " + markup.Code(in.Failure.WorkflowName)
	if in.Report.Job != "" {
		where = "Job " + markup.Code(in.Report.Job) + " of workflow " + markup.Code(in.Failure.WorkflowName)
	}
	switch r := in.Report; {
	case r.Plan != nil && r.Plan.RootCause != "":
		return where + " failed; the model puts it so: " + markup.Code(r.Plan.RootCause) + "."
	case len(r.Diagnostics) > 0:
		return where + " failed because of " + diagnostic(r.Diagnostics[0]) + "."
	case r.ClassLine != nil && strings.TrimSpace(r.ClassLine.Text) != "":
		return where + " failed with " + markup.Code(r.ClassLine.Text) + "."
	case r.Command != "":
		return where + " failed at " + markup.Code(r.Command) + "."
	default:
		return where + " failed."
	}
}

func diagnostic(d evidence.Diagnostic) string {
	place := d.File
	if d.Line > 0 {
		place += fmt.Sprintf(":%d", d.Line)
	}
	out := markup.Code(place)
	if d.Message != "" {
		out += ": " + markup.Code(d.Message)
	}
	if d.Tool != "" {
		out += ", says " + markup.Code(d.Tool)
	}
	return out
}

func (in Input) failed(b *strings.Builder, most budget) {
	f, r := in.Failure, in.Report
	fmt.Fprintf(b, "On %s at %s.", markup.Code(f.Branch), markup.Code(fmt.Sprintf("%.12s", f.Commit)))
	for _, l := range []string{markup.Link("The failed job", r.JobURL), markup.Link("The failed run", f.RunURL)} {
		if l != "" {
			b.WriteString(" " + l + ".")
		}
	}
	b.WriteString("\n\n")
	lines := r.Excerpt[:min(len(r.Excerpt), most.lines)]
	if len(lines) == 0 {
		return
	}
	var log strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&log, "%6d  %s\n", l.Number, markup.Plain(l.Text))
	}
	b.WriteString(markup.Fence(log.String()))
}

func (in Input) check(b *strings.Builder, most budget) {
	c := in.Report.Check
	if c == nil {
		return
	}
	section(b, "The check, before and after")
	fmt.Fprintf(b, "%s\n", markup.Fence(markup.Clip(markup.Plain(c.Command), maxLine)))
	fmt.Fprintf(b, "Before this change (exit code %d):\n\n%s\n", c.Before.ExitCode, markup.Fence(output(c.Before, most.output)))
	fmt.Fprintf(b, "With this change (exit code %d):\n\n%s", c.After.ExitCode, markup.Fence(output(c.After, most.output)))
}

func output(c evidence.CheckRun, most int) string {
	switch {
	case strings.TrimSpace(c.Output) == "":
		return "(no output)"
	case most == 0:
		return "(left out: there is no room)"
	case len(c.Output) > most:
		return "[...]\n" + strings.ToValidUTF8(c.Output[len(c.Output)-most:], "")
	}
	return c.Output
}
