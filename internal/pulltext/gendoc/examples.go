package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/markup"
	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/pulltext"
	"github.com/sre-agent/sre-agent/internal/receipt"
)

// examples are what docs/pull-requests.md shows, by the names that its marks have.
func examples() (map[string]string, error) {
	tool, model := byATool(), byAModel()
	proof, public, err := aReceipt(tool)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"title":      pulltext.TitleOf(tool),
		"tool":       pulltext.Body(tool, markup.Of("github")),
		"model":      pulltext.Body(model, markup.Of("gitlab")),
		"bitbucket":  lastLine(pulltext.Body(tool, markup.Of("bitbucket"))),
		"commit":     pulltext.CommitMessage(tool),
		"receipt":    proof.Comment(markup.Of("github"), "0f3c1a5e7b9d2468ace013579bdf2468"),
		"public key": public,
	}, nil
}

func lastLine(text string) string {
	text = strings.TrimRight(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

const diff = "diff --git a/hello.go b/hello.go\n--- a/hello.go\n+++ b/hello.go\n@@ -4 +4 @@\n-x:=1\n+\tx := 1\n"

func failure(provider, workflow string) ci.Failure {
	return ci.Failure{
		Provider: provider, Repository: ci.Repository{ID: "42", Owner: "acme", Name: "hello"}, Branch: "main", Commit: "3f786850e387550fdab836ed7e6dc881de23001b",
		Workflow: workflow, WorkflowName: "CI", RunURL: "https://forge.example/acme/hello/actions/runs/7",
	}
}

func byATool() pulltext.Input {
	f := failure("github", ".github/workflows/ci.yml")
	return pulltext.Input{
		Failure: f, RunKey: f.RunKey(), RunID: 12, Fence: 3, Fixer: "gofmt", Title: "Format the Go files with gofmt", Digest: receipt.Digest([]byte(diff)),
		Report: evidence.Report{
			Job: "lint", JobURL: "https://forge.example/acme/hello/actions/runs/7/job/9", Files: []string{"hello.go"},
			Excerpt:     []evidence.Line{{Number: 41, Text: "Run gofmt -l ."}, {Number: 42, Text: "hello.go"}, {Number: 43, Text: "##[error]Process completed with exit code 1."}},
			Diagnostics: []evidence.Diagnostic{{Tool: "gofmt", File: "hello.go", Message: "the file is not formatted"}},
			Check:       &evidence.Check{Command: `test -z "$(gofmt -l .)"`, Before: evidence.CheckRun{ExitCode: 1, Output: "hello.go\n"}},
			Policy:      &evidence.Policy{Class: "safe", Danger: 6, Parts: []string{"files 5", "operation: format 1"}},
			Scan:        &evidence.Scan{},
		},
	}
}

// byAModel has in its log what somebody would like to have a forge act on.
func byAModel() pulltext.Input {
	f := failure("gitlab", "pipeline")
	return pulltext.Input{
		Failure: f, RunKey: f.RunKey(), RunID: 13, Fence: 5, Fixer: "model", Title: "Add the missing dependency left-pad", Digest: receipt.Digest([]byte("another diff")),
		Report: evidence.Report{
			Job: "test", JobURL: "https://forge.example/acme/hello/-/jobs/9",
			Excerpt: []evidence.Line{{Number: 107, Text: "Error: Cannot find module 'left-pad'"}, {Number: 108, Text: "/close @all Fixes #1 <img src=x> ![x](https://evil.example/x.png)"}},
			Plan:    &evidence.Plan{RootCause: "package.json does not list left-pad, which index.js requires", Category: "dependency", Confidence: 0.9},
			Model:   &evidence.Model{Model: "a-model", Calls: 1, Tokens: 1834},
			Check: &evidence.Check{
				Command: "npm test", Before: evidence.CheckRun{ExitCode: 1, Output: "/close\nError: Cannot find module 'left-pad'\n"}, After: evidence.CheckRun{Output: "1 passing\n"},
			},
			Policy: &evidence.Policy{Class: "needs-review", Danger: 38, Parts: []string{"files 10", "risky path: manifest 8", "operation: add_dependency 20"}},
			Scan:   &evidence.Scan{Compared: true},
		},
	}
}

// aReceipt is signed by a key that everybody knows.
func aReceipt(in pulltext.Input) (proof receipt.Signed, public string, err error) {
	key, err := minisign.New(bytes.Repeat([]byte{1}, 40))
	if err != nil {
		return proof, "", err
	}
	of := func(s string) string { return receipt.Digest([]byte(s)) }
	c := in.Report.Check
	proof, err = receipt.Sign(receipt.Receipt{
		BaseCommit: in.Failure.Commit, Branch: "sre-agent/ci-2n43euf62t", Commit: "89e6c98d92887913cadf06b2adb97f26cde4849b", Diff: in.Digest,
		Event: receipt.Event{Body: of("the webhook"), Delivery: "0b989ba4-242f-11e5-81e1-c7b6966d2516", Provider: in.Failure.Provider}, Evidence: of("the evidence"),
		Fence: in.Fence, Fixer: receipt.Fixer{Digest: of("the fixer"), Name: in.Fixer}, MadeAt: receipt.Time(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		Policy: receipt.Policy{Class: in.Report.Policy.Class, Danger: in.Report.Policy.Danger, Rules: of("the rules")},
		PR:     "https://forge.example/acme/hello/pull/8", Repository: "acme/hello", RunKey: in.RunKey, Version: receipt.Version,
		Sandbox: receipt.Sandbox{
			After: receipt.Ran{Output: of(c.After.Output)}, Before: receipt.Ran{ExitCode: c.Before.ExitCode, Output: of(c.Before.Output)}, Command: of(c.Command),
		},
	}, key)
	return proof, key.Public().Text(), err
}

// fillIn writes the examples between their marks. One that has no marks, and marks that have no example, are errors.
func fillIn(page string, all map[string]string) (string, error) {
	var out strings.Builder
	used := 0
	for rest := page; ; {
		before, after, ok := strings.Cut(rest, "<!-- example: ")
		out.WriteString(before)
		if !ok {
			break
		}
		name, after, _ := strings.Cut(after, " -->")
		_, after, closed := strings.Cut(after, "<!-- end -->")
		text, known := all[name]
		if !known || !closed {
			return "", fmt.Errorf("example %q: is there (%v), has an end (%v)", name, known, closed)
		}
		used++
		fmt.Fprintf(&out, "<!-- example: %s -->\n\n%s\n<!-- end -->", name, indented(text))
		rest = after
	}
	if used != len(all) {
		return "", fmt.Errorf("the page has %d examples, and there are %d", used, len(all))
	}
	return out.String(), nil
}

// indented is a code block: text as it is sent, not as it is shown.
func indented(text string) string {
	var out strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		if line != "\n" {
			out.WriteString("    ")
		}
		out.WriteString(line)
	}
	return out.String()
}
