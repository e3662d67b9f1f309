package pulltext

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/markup"
)

// Suggestion is a comment that holds the patch, for where no pull request is opened. why is a sentence of our own, or
// empty; the mark is what it is found again by. A patch that does not fit, or can't be shown as it is, is left out.
func Suggestion(in Input, diff []byte, why, mark string, d markup.Dialect) string {
	patch, exact := markup.Diff(string(diff))
	if exact {
		if text := in.suggestion(patch, why, mark, d); utf8.RuneCountInString(text) <= d.MaxComment {
			return text
		}
	}
	left := fmt.Sprintf("The patch is too long for this comment, or holds what can't be shown in one: whoever runs sre-agent sees it with `sre-agent runs show %d`.\n", in.RunID)
	return in.suggestion(left, why, mark, d)
}

func (in Input) suggestion(patch, why, mark string, d markup.Dialect) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nNothing was pushed. This patch is a suggestion; `git apply` takes it:\n\n%s", in.cause(), patch)
	if c := in.Report.Check; c != nil {
		fmt.Fprintf(&b, "\nWithout it this check ends with exit code %d, and with it %d:\n\n%s",
			c.Before.ExitCode, c.After.ExitCode, markup.Fence(markup.Clip(markup.Plain(c.Command), maxLine)))
	}
	section(&b, "How it was made and judged")
	in.judged(&b)
	if why != "" {
		fmt.Fprintf(&b, "\n%s.\n", markup.Inert(why))
	}
	b.WriteString("\n" + d.Hidden(suggests+mark))
	return b.String()
}

const suggests = "suggestion="

// Suggests says whether a comment is the suggestion with a mark.
func Suggests(body, mark string) bool {
	text, ok := markup.Find(body)
	return ok && text == suggests+mark
}
