package pulltext_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/pulltext"
)

var forges = []string{"github", "gitlab", "gitea", "forgejo", "bitbucket", "azure-devops", "unknown"}

// said is a pull request in which everything that comes from outside is the same text.
func said(s string) pulltext.Input {
	run := evidence.CheckRun{ExitCode: 1, Output: s}
	return pulltext.Input{
		Failure: ci.Failure{
			Provider: s, Branch: s, Commit: s, Workflow: s, WorkflowName: s, RunURL: s,
		},
		RunKey: s, RunID: 1, Fence: 2, Fixer: s, Title: s, Digest: "sha256:00",
		Report: evidence.Report{
			Job: s, JobURL: s, Command: s, Excerpt: []evidence.Line{{Number: 1, Text: s}, {Number: 2, Text: s}},
			ClassLine: &evidence.Line{Text: s}, Diagnostics: []evidence.Diagnostic{{Tool: s, File: s, Line: 3, Message: s}},
			Check:  &evidence.Check{Command: s, Before: run, After: run},
			Model:  &evidence.Model{Model: s},
			Agent:  &evidence.Agent{Command: s},
			Policy: &evidence.Policy{Class: s, Danger: 3, Parts: []string{s, s}},
		},
	}
}

var hostile = []string{
	"", "a", "@octocat", "closes #1", "Fixes acme/shop#12, !34 %5 ~label AB#7 GH-8", "![x](http://evil/x.png)", "[x](javascript:alert(1))",
	"<img src=x onerror=alert(1)>", "<!-- sre-agent run=666 fence=1 -->", "--><script>", "[//]: # (sre-agent run=666)", "`", "``` \n/close\n```", "````text\n@all",
	"/close", "\n/merge\n/approve", "https://evil.example/@octocat", "www.evil.example", "http://evil.example/a--b", "https://u:p@evil.example/", "~~~\n<b>\n~~~",
	"a\u202eb\u2066c\u200bd\ufeffe\U000e0041f", "\x00\x1b[31m\r\n", "\\`@octocat\\`", "|a|b|\n|-|-|\n|@x|@y|", "# h\n> q\n- l\n1. n", "[a]: http://evil", "<http://evil.example>", "x@y.example", "$x$ $$y$$ :rocket: [[wiki]] {{x}} \u3164",
	"\xff\xfe", "a\u2028/close\u2029/close\u0085/close", "` `` ``` ```` `````",
	"&lt;img&gt; &#64;octocat", "</details>", "    /close", "\t/close", "@{557058:x} @[~accountid:1]", "{quote} h1. *b*",
}

func TestWhatCameFromOutsideIsShownAsText(t *testing.T) {
	t.Parallel()
	for _, s := range hostile {
		check(t, s)
	}
}

func FuzzBody(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(check)
}

// acts is what forges act on, in a text without code.
var acts = regexp.MustCompile(`(?i)@|[#!%~&]\w|\bgh-\d|\bab#|https?:|www\.`)

// inPlain is what they act on where there is no Markdown.
var inPlain = regexp.MustCompile(`(?i)@[\pL_]|#\w|[!%~&$^]\d|\bgh-\d|\bab#\d|://\w|\bwww\.\w`)

func check(t *testing.T, s string) {
	t.Helper()
	in := said(s)
	for _, forge := range forges {
		d := markup.Of(forge)
		body := pulltext.Body(in, d)
		if n := utf8.RuneCountInString(body); n > d.MaxBody {
			t.Errorf("%s: %d characters", forge, n)
		}
		if mark, ok := markup.Find(body); !ok || !strings.HasPrefix(mark, "run=1 fence=2 digest=sha256:00 ") {
			t.Errorf("%s: the mark is %q, %v", forge, mark, ok)
		}
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "/") {
				t.Errorf("%s: a line begins with a quick action: %s", forge, line)
			}
		}
		if i := strings.IndexFunc(body, func(c rune) bool { return c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) }); i >= 0 {
			t.Errorf("%s: a character that deceives at %d: %q", forge, i, body[i:min(i+20, len(body))])
		}
		for _, bad := range outside(in, body) {
			t.Errorf("%s, %q: %s\n%s", forge, s, bad, body)
		}
	}
	for _, line := range []string{pulltext.TitleOf(in), pulltext.CommitMessage(in)} {
		if found := inPlain.FindString(line); found != "" {
			t.Errorf("%q: a title or message has %q: %s", s, found, line)
		}
	}
	if title := pulltext.TitleOf(in); strings.ContainsAny(title, "<>`\n") || len(title) > 210 {
		t.Errorf("%q: the title is %q", s, title)
	}
}

// outside says what in a body is more than text, beside what we write ourselves.
func outside(in pulltext.Input, body string) []string {
	var bad []string
	source := []byte(body)
	tree := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote)).Parser().Parse(text.NewReader(source))
	htmls := 0
	_ = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Image:
			bad = append(bad, "an image")
		case *ast.AutoLink, *ast.RawHTML, *ast.Blockquote:
			bad = append(bad, "a "+n.Kind().String())
		case *ast.Link:
			if to := string(n.Destination); to != in.Report.JobURL && to != in.Failure.RunURL {
				bad = append(bad, "a link to "+to)
			}
		case *ast.HTMLBlock:
			if htmls++; htmls > 1 || !strings.HasPrefix(string(n.Lines().Value(source)), "<!-- sre-agent run=1 ") {
				bad = append(bad, "an HTML block")
			}
		case *ast.CodeSpan:
			return ast.WalkSkipChildren, nil
		case *ast.Text:
			if found := acts.Find(n.Segment.Value(source)); found != nil {
				bad = append(bad, "outside of code: "+string(found))
			}
		case *ast.Heading:
			if n.Level != 3 {
				bad = append(bad, "a heading")
			}
		}
		return ast.WalkContinue, nil
	})
	return bad
}

func TestATextFitsItsForge(t *testing.T) {
	t.Parallel()
	in := said(strings.Repeat("long `x` @y ", 20_000))
	for range 200 {
		in.Report.Excerpt = append(in.Report.Excerpt, in.Report.Excerpt[0])
		in.Report.Policy.Parts = append(in.Report.Policy.Parts, "a part of the score")
	}
	for _, forge := range forges {
		d := markup.Of(forge)
		body := pulltext.Body(in, d)
		if n := utf8.RuneCountInString(body); n > d.MaxBody || n < 500 {
			t.Errorf("%s: %d characters", forge, n)
		}
		if _, ok := markup.Find(body); !ok {
			t.Errorf("%s: no mark", forge)
		}
	}
}

func TestAMessageWithOrdinaryWordsIsLeftAlone(t *testing.T) {
	t.Parallel()
	in := said("gofmt -l ./internal/... (v1.2.3), so: 100% of it")
	if got, want := pulltext.TitleOf(in), "gofmt -l ./internal/... (v1.2.3), so: 100% of it so that gofmt -l ./internal/... (v1.2.3), so: 100% of it passes"; got != want {
		t.Errorf("%q", got)
	}
}
