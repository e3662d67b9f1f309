package main

import (
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/store"
)

// findings prints what the last attempt that found out anything found out, and why it decided so.
func (t terminal) findings(h store.History) {
	for i := len(h.Attempts) - 1; i >= 0; i-- {
		report, err := evidence.Parse(h.Attempts[i].Evidence)
		if err != nil || len(report.Stages) == 0 {
			continue
		}
		t.failure(report)
		t.proposal(report)
		t.verdicts(report)
		t.prepared(report.Prepared)
		t.check(report.Check)
		if report.Diff != "" {
			t.printf("\n%s  (not published)\n", t.bold("diff"))
			t.lines(report.Diff)
		}
		return
	}
}

// failure prints what the log says.
func (t terminal) failure(r evidence.Report) {
	if r.Class == "" && len(r.Excerpt) == 0 {
		return
	}
	t.printf("\n%s\n", t.bold("failure"))
	if r.Class != "" {
		t.field("class", fmt.Sprintf("%s, confidence %.2f", r.Class, r.Confidence))
	}
	if r.ClassLine != nil {
		t.field("evidence", fmt.Sprintf("line %d: %s", r.ClassLine.Number, clip(r.ClassLine.Text, shownWidth)))
	}
	t.field("job", r.Job)
	t.field("job log", r.JobURL)
	t.field("command", r.Command)
	excerpt := make([]string, len(r.Excerpt))
	for i, l := range r.Excerpt {
		excerpt[i] = fmt.Sprintf("%6d  %s", l.Number, l.Text)
	}
	t.lines(strings.Join(excerpt, "\n"))
	for _, d := range r.Diagnostics[:min(len(r.Diagnostics), shownLines)] {
		t.field("diagnostic", clip(fmt.Sprintf("%s:%d: %s", d.File, d.Line, strings.TrimSpace(d.Tool+" "+d.Rule+" "+d.Message)), shownWidth))
	}
	if more := len(r.Diagnostics) - shownLines; more > 0 {
		t.field("diagnostic", fmt.Sprintf("… %d more", more))
	}
}

// proposal prints who made the change, and how.
func (t terminal) proposal(r evidence.Report) {
	if r.Fixer == "" && r.Model == nil && r.Agent == nil {
		return
	}
	t.printf("\n%s\n", t.bold("plan"))
	t.field("fixer", r.Fixer)
	if p := r.Plan; p != nil {
		t.field("root cause", p.RootCause)
		t.field("category", fmt.Sprintf("%s, confidence %.2f", p.Category, p.Confidence))
		for _, op := range p.Operations {
			t.field("operation", clip(fmt.Sprintf("%s %s: %s", op.Kind, op.File, op.Rationale), shownWidth))
		}
	}
	if m := r.Model; m != nil {
		t.field("model", fmt.Sprintf("%s by %s: %d calls, %d of them replayed, %d repairs", m.Model, m.API, m.Calls, m.Replayed, m.Repairs))
		most := ""
		if m.Assumed {
			most = ", in part the most that it can have been"
		}
		t.field("cost", fmt.Sprintf("%d tokens, %.6f of the currency of MODEL_PRICES%s", m.Tokens, float64(m.CostMillionths)/1e6, most))
		t.field("question", m.Request)
		t.field("answer", m.Answer)
	}
	if a := r.Agent; a != nil {
		t.field("agent", fmt.Sprintf("%s: exit code %d in %.0fs %s", clip(a.Command, shownWidth), a.ExitCode, a.Seconds, a.Killed))
		t.lines(a.Output)
	}
	t.field("files", strings.Join(r.Files, ", "))
	t.field("digest", r.Digest)
}

// verdicts prints what policy and scan say of the patch.
func (t terminal) verdicts(r evidence.Report) {
	if p := r.Policy; p != nil {
		t.printf("\n%s\n", t.bold("policy"))
		t.field("class", p.Class)
		t.field("danger", fmt.Sprintf("%d (%s)", p.Danger, strings.Join(p.Parts, ", ")))
		for _, f := range p.Findings {
			t.field("breaks", f)
		}
	}
	if s := r.Scan; s != nil {
		text := fmt.Sprintf("%d secrets in what the patch adds", s.Secrets)
		if s.Compared {
			text += fmt.Sprintf("; %d findings of the configured scanners that were not there before", s.Issues)
		}
		t.field("scan", text)
	}
}

// prepared prints what was fetched for the check, before there was a patch.
func (t terminal) prepared(steps []evidence.Prepared) {
	if len(steps) == 0 {
		return
	}
	t.printf("\n%s  (with a network, before the patch)\n", t.bold("prepared"))
	for _, s := range steps {
		if s.Skipped != "" {
			t.field(s.Name, "not fetched: "+s.Skipped)
			continue
		}
		t.field(s.Name, fmt.Sprintf("%s: exit code %d in %.0fs %s", clip(strings.ReplaceAll(s.Command, "\n", "; "), shownWidth), s.ExitCode, s.Seconds, s.Killed))
		t.field("left", strings.Join(s.Left, ", "))
		if s.ExitCode != 0 {
			t.lines(s.Output)
		}
	}
}

// check prints the failing check before and after, and on the base branch where it was run there.
func (t terminal) check(c *evidence.Check) {
	if c == nil {
		return
	}
	t.printf("\n%s  (from the %s)\n", t.bold("check"), visible(c.Source))
	t.lines(c.Command)
	t.printf("  before the fix: exit code %d\n", c.Before.ExitCode)
	t.lines(c.Before.Output)
	if c.After != (evidence.CheckRun{}) {
		t.printf("  with the fix: exit code %d\n", c.After.ExitCode)
		t.lines(c.After.Output)
	}
	if c.Base != nil {
		t.printf("  on the base branch: exit code %d; the failure is by: %s\n", c.Base.ExitCode, visible(c.Cause))
		t.lines(c.Base.Output)
	}
}
