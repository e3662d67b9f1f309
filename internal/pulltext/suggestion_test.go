package pulltext_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/pulltext"
)

func TestASuggestionFitsIsFoundAgainAndShowsWhatCameFromOutsideAsText(t *testing.T) {
	t.Parallel()
	mark := strings.Repeat("a", 32)
	for _, s := range hostile {
		diff := "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-" + s + "\n+````\n"
		for _, forge := range forges {
			d := markup.Of(forge)
			body := pulltext.Suggestion(said(s), []byte(diff), s, mark, d)
			if n := utf8.RuneCountInString(body); n > d.MaxBody || !pulltext.Suggests(body, mark) || pulltext.Suggests(body, strings.Repeat("b", 32)) {
				t.Errorf("%s: %q: %d characters, found %t", forge, s, n, pulltext.Suggests(body, mark))
			}
			for line := range strings.Lines(body) {
				if strings.HasPrefix(line, "/") {
					t.Errorf("%s: a line begins with a quick action: %s", forge, line)
				}
			}
		}
	}
}

func TestAPatchIsShownAsItIsOrNotAtAll(t *testing.T) {
	t.Parallel()
	d := markup.Of("github")
	for diff, shown := range map[string]bool{
		"@@ -1 +1 @@\n-\tx\n+\ty\n":                        true,
		"@@ -1 +1 @@\n-x\n+```\n":                          true,
		"@@ -1 +1 @@\n-x\n+\u202ey\n":                      false,
		"@@ -1 +1 @@\n-x\n+y\x1b[31m\n":                    false,
		"@@ -1 +1 @@\n/close\n":                            false,
		"@@ -1 +1 @@\n-x\n+" + strings.Repeat("y", 70_000): false,
	} {
		body := pulltext.Suggestion(said("x"), []byte(diff), "", "m", d)
		if strings.Contains(body, "diff\n"+diff) != shown || strings.Contains(body, "sre-agent runs show 1") == shown {
			t.Errorf("%.60q: %.300s", diff, body)
		}
	}
}
