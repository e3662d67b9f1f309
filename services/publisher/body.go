package publisher

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

const (
	maxTitle  = 200
	maxLine   = 300
	maxOutput = 4000
)

func title(fix db.Fix) string { return clip(plain(fix.Title), maxTitle) }

// commitMessage depends on nothing but the recorded fix, so that every try builds the same commit.
func commitMessage(r store.Run, fix db.Fix, report evidence.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title(fix))
	fmt.Fprintf(&b, "The workflow %q failed on %.12s.\n", clip(plain(r.Failure.WorkflowName), maxLine), r.Failure.Commit)
	if report.Check != nil {
		fmt.Fprintf(&b, "This check was red before this change and is green with it:\n\n    %s\n", clip(plain(report.Check.Command), maxLine))
	}
	fmt.Fprintf(&b, "\nSre-Agent-Run: %s\nSre-Agent-Digest: %s\n", plain(r.RunKey), fix.Digest)
	return b.String()
}

// body tells a reviewer what was wrong, what was done, how it was checked, and how to say no. Everything that
// came from outside stands in code fences or code spans: it can't mention, close, link or render anything.
func body(r store.Run, fix db.Fix, report evidence.Report) string {
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, "\n### %s\n\n", name) }

	fmt.Fprintf(&b, "%s\n", plain(r.Explanation))
	section("What failed")
	fmt.Fprintf(&b, "Workflow %s on %s at %s", code(r.Failure.WorkflowName), code(r.Failure.Branch), code(fmt.Sprintf("%.12s", r.Failure.Commit)))
	if report.Job != "" {
		fmt.Fprintf(&b, ", job %s", code(report.Job))
	}
	b.WriteString(".\n\n")
	if len(report.Excerpt) > 0 {
		b.WriteString(fence(excerpt(report.Excerpt)))
	}
	if link := safeURL(r.Failure.RunURL); link != "" {
		fmt.Fprintf(&b, "\n[The failed run](%s)\n", link)
	}
	if c := report.Check; c != nil {
		section("The check, before and after")
		fmt.Fprintf(&b, "%s\n", fence(c.Command))
		fmt.Fprintf(&b, "Before this change (exit code %d):\n\n%s\n", c.Before.ExitCode, fence(outputOf(c.Before)))
		fmt.Fprintf(&b, "With this change (exit code %d):\n\n%s", c.After.ExitCode, fence(outputOf(c.After)))
	}
	section("How it was made and judged")
	fmt.Fprintf(&b, "- Fixer: %s\n", code(fix.Fixer))
	if p := report.Policy; p != nil {
		fmt.Fprintf(&b, "- Policy: %s, danger score %d", code(p.Class), p.Danger)
		if len(p.Parts) > 0 {
			fmt.Fprintf(&b, " (%s)", code(strings.Join(p.Parts, ", ")))
		}
		b.WriteString("\n")
	}
	b.WriteString("- Secrets: the added lines were scanned, nothing was found\n")
	b.WriteString("- The check ran in a sandbox without network and without secrets\n")
	section("How to say no")
	b.WriteString("Close this pull request: sre-agent takes that as a no and does not open it again. " +
		"To switch it off for this repository, commit `mode: off` to `.sre-agent.yaml` on the default branch.\n")
	fmt.Fprintf(&b, "\n<!-- sre-agent run=%d fence=%d digest=%s key=%s -->\n", r.ID, r.Fence, fix.Digest, commentSafe(r.RunKey))
	return b.String()
}

func excerpt(lines []evidence.Line) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%6d  %s\n", l.Number, clip(plain(l.Text), maxLine))
	}
	return b.String()
}

func outputOf(c evidence.CheckRun) string {
	if strings.TrimSpace(c.Output) == "" {
		return "(no output)"
	}
	if len(c.Output) > maxOutput {
		return "[...]\n" + c.Output[len(c.Output)-maxOutput:]
	}
	return c.Output
}

// fence puts text into a code fence that the text can't end: longer than any run of backticks in it.
func fence(text string) string {
	var lines []string
	for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, clip(plain(l), maxLine))
	}
	clean := strings.Join(lines, "\n")
	ticks := strings.Repeat("`", max(3, longestRun(clean)+1))
	return ticks + "text\n" + clean + "\n" + ticks + "\n"
}

// code puts text into a code span that the text can't end.
func code(text string) string {
	clean := clip(strings.TrimSpace(plain(text)), maxLine)
	if clean == "" {
		return "``(empty)``"
	}
	ticks := strings.Repeat("`", longestRun(clean)+1)
	if strings.HasPrefix(clean, "`") || strings.HasSuffix(clean, "`") {
		clean = " " + clean + " "
	}
	return ticks + clean + ticks
}

func longestRun(s string) int {
	longest, now := 0, 0
	for _, c := range s {
		if c == '`' {
			now++
			longest = max(longest, now)
		} else {
			now = 0
		}
	}
	return longest
}

// plain removes what could deceive a reader: control and bidirectional characters. A line break becomes a blank.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return ' '
		case c == '\n':
			return ' '
		case unicode.IsControl(c), unicode.Is(unicode.Bidi_Control, c), c == unicode.ReplacementChar, unicode.Is(unicode.Cf, c):
			return -1
		default:
			return c
		}
	}, strings.ToValidUTF8(s, ""))
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// safeURL lets only a plain https or http address through to a link.
func safeURL(u string) string {
	if !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
		return ""
	}
	if strings.ContainsAny(u, "()<>[]\"'` \t\r\n\\") || len(u) > 1000 {
		return ""
	}
	return u
}

// commentSafe keeps a text from ending an HTML comment.
func commentSafe(s string) string {
	return strings.NewReplacer("--", "- -", ">", "", "<", "").Replace(plain(s))
}
