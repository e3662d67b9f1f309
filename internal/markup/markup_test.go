package markup_test

import (
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/markup"
)

// What a renderer makes of these texts is tested in internal/pulltext, with the texts of pull requests.

func TestALineOfAFenceEndsNothingAndStartsNothing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                          "```text\nplain\n```\n",
		"a ```` b\n":                     "`````text\na ```` b\n`````\n",
		"a\n/close":                      "```text\n a\n /close\n```\n",
		"a\n```\n":                       "````text\n a\n ```\n````\n",
		"~~~\na":                         "```text\n ~~~\n a\n```\n",
		"<!-- sre-agent run=1 -->":       "```text\n <!-- sre-agent run=1 -->\n```\n",
		"[//]: # (sre-agent run=2)":      "```text\n [//]: # (sre-agent run=2)\n```\n",
		"\u202e/close\t1":                "```text\n /close 1\n```\n",
		strings.Repeat("x", 301) + "\ny": "```text\n" + strings.Repeat("x", 300) + "…\ny\n```\n",
	} {
		got := markup.Fence(text)
		if got != want {
			t.Errorf("%.50q gives %q, want %q", text, got, want)
		}
		if found, ok := markup.Find(got); ok {
			t.Errorf("%.50q passes for %q of ours", text, found)
		}
	}
	if got, want := markup.Block("text", "a\n/b+/\n`c`\n"), "```text\na\n /b+/\n`c`\n```\n"; got != want {
		t.Errorf("a text of ours gives %q, want %q", got, want)
	}
}

func TestASpanEndsWhereItsTextEnds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a b": "`a b`", "": "`(empty)`", " \u200b\n": "`(empty)`", "`a": "`` `a ``", "a`": "`` a` ``", "a``b": "```a``b```", "a\nb": "`a b`",
		strings.Repeat("x", 301): "`" + strings.Repeat("x", 300) + "…`", strings.Repeat("ä", 151): "`" + strings.Repeat("ä", 150) + "…`",
	} {
		if got := markup.Code(text); got != want {
			t.Errorf("%.50q gives %q, want %q", text, got, want)
		}
	}
}

func TestPlainTextHasNothingThatDeceives(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"naïve 日本 👍 a\u0301":                                        "naïve 日本 👍 a\u0301",
		"a\tb\nc\u2028d\u2029e\u00a0f\u3000g":                       "a b c d e f g",
		"a\x00b\x1b[0m\u0085c\x7f":                                  "ab[0mc",
		"a\u202eb\u2066c\u200bd\ufeffe\u00adf":                      "abcdef",
		"a\ufe0fb\U000e0100c\U000e0041d":                            "abcd",
		"a\ue000b\U0010ffffc\u0378d\xffe\ufffdf":                    "abcdef",
		"a\u115fb\u1160c\u3164d\uffa0e\u2800f\u034fg\u17b4h\u17b5i": "abcdefghi",
	} {
		if got := markup.Plain(text); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestOnlyAPlainAddressIsLinked(t *testing.T) {
	t.Parallel()
	for to, linked := range map[string]bool{
		"https://forge.example/acme/x/actions/runs/7?a=b#c": true, "http://127.0.0.1:3000/": true, "https://forge.example": true,
		"javascript:alert(1)": false, "https://u:p@forge.example/": false, "https://forge.example/a b": false, "https://forge.example/)": false,
		"https://forge.example/<x>": false, "https://forge.example/\n/close": false, "": false, "//forge.example/": false,
		// It would end an HTML comment that the text is put into.
		"https://forge.example/a--b":                         false,
		"https://forge.example/" + strings.Repeat("x", 1000): false,
	} {
		if got := markup.Link("The run", to); (got == "[The run]("+to+")") != linked || (got == "") == linked {
			t.Errorf("%.60q gives %.60q", to, got)
		}
	}
}

func TestWhatIsHiddenStaysHiddenAndIsFound(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"run=1 key=a", "a --> b", "a --!> b", "a) b", "a\\) b", `a" b`, "(a <b>", "a\n/close", "----", "a\u202eb"} {
		for forge, ends := range map[string]string{"github": "<!-- sre-agent %s -->", "bitbucket": "[//]: # (sre-agent %s)"} {
			before, after, _ := strings.Cut(ends, "%s")
			line := strings.TrimSpace(markup.Of(forge).Hidden(text))
			inner := strings.TrimSuffix(strings.TrimPrefix(line, before), after)
			if len(inner)+len(ends)-2 != len(line) || strings.ContainsAny(inner, "<>()\\\"\n") || strings.Contains(inner, "--") {
				t.Errorf("%s: %q is written as %q", forge, text, line)
			}
			if found, ok := markup.Find("above\n\n" + line + "\r\n"); !ok || found != inner {
				t.Errorf("%s: %q is found as %q, %v", forge, line, found, ok)
			}
		}
	}
}
