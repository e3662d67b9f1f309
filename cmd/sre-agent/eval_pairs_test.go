package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const pairsHeader = "class\trepo\tparent\tfix\tcheck\tfixer\tverified\tnote\n"

// history makes a repository of one commit for each set of files, and returns their ids.
func history(t *testing.T, dir string, commits ...map[string]string) []string {
	t.Helper()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=dev", "-c", "user.email=dev@example.com"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	git("init", "--quiet", "--initial-branch=main")
	var ids []string
	for _, files := range commits {
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		git("add", "--all")
		git("commit", "--quiet", "--message", "next")
		ids = append(ids, git("rev-parse", "HEAD"))
	}
	return ids
}

func TestPairsAreComparedWithWhatPeopleCommitted(t *testing.T) {
	repos := t.TempDir()
	const gofmt = `test -z "$(gofmt -l .)"`
	ids := history(t, filepath.Join(repos, "acme+shop"),
		map[string]string{"go.mod": "module example.com/shop\n\ngo 1.22\n", "a.go": "package shop\n\nfunc A() {\nreturn\n}\n"},
		map[string]string{"a.go": "package shop\n\nfunc A() {\n\treturn\n}\n"},
		map[string]string{"a.go": "package shop\n\nfunc A() {\n\treturn\n}\n\nfunc B() { undefined() }\n"},
	)
	table := filepath.Join(t.TempDir(), "pairs.tsv")
	rows := [][]string{
		{"format", "acme/shop", ids[0], ids[1], gofmt, "gofmt", "strict", ""},
		{"format-else", "acme/shop", ids[0], ids[2], gofmt, "gofmt", "strict", ""}, // a person did something else as well
		{"trap", "acme/shop", ids[0], ids[1], gofmt, "gofmt", "must not ship", ""},
		{"compile", "acme/shop", ids[2], ids[1], "go build ./...", "none", "", ""},
		{"green", "acme/shop", ids[1], ids[1], gofmt, "-", "", ""},
		{"gone", "acme/none", ids[0], ids[1], gofmt, "gofmt", "", ""},
	}
	text := pairsHeader
	for _, row := range rows {
		text += strings.Join(row, "\t") + "\n"
	}
	if err := os.WriteFile(table, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	code := execute([]string{"eval", "pairs", table, "--repos", repos}, map[string]string{"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME")}, &stdout, &stderr)
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if code != exitFailed || len(lines) != len(rows)+1 || !strings.Contains(stderr.String(), "1 false fixes") {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	want := []struct {
		outcome, reason string
		equal           bool
	}{{"green", "", true}, {"green", "", false}, {"false_fix", "", false}, {"declined", "no_fixer", false}, {"declined", "not_reproducible", false}, {"error", "", false}}
	for i, w := range want {
		var got pairOutcome
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatal(err)
		}
		if got.Outcome != w.outcome || got.Equal != w.equal || got.Outcome == outcomeDeclined && got.Reason != w.reason {
			t.Errorf("%s: %s, want %+v", rows[i][0], lines[i], w)
		}
	}
	var sum pairsSummary
	if err := json.Unmarshal([]byte(lines[len(rows)]), &sum); err != nil || sum.Strict != 2 || sum.Green != 2 || sum.Equal != 1 || sum.FalseFixes != 1 || sum.Errors != 1 {
		t.Errorf("%v: %s", err, lines[len(rows)])
	}
}

func TestATableOfPairsIsReadWholeOrRefusedByItsLine(t *testing.T) {
	good := "format\tacme/shop\t0123456\t89abcde\tmake lint\tgofmt\tstrict\t\n"
	if rows, err := parsePairs(strings.NewReader(pairsHeader + good)); err != nil || len(rows) != 1 || !rows[0].strict {
		t.Errorf("%+v, %v", rows, err)
	}
	for name, tt := range map[string]struct{ text, says string }{
		"no header":                {good, "line 1"},
		"a missing field":          {pairsHeader + good + "format\tacme/shop\n", "line 3"},
		"a repository that climbs": {pairsHeader + strings.Replace(good, "acme/shop", "../x", 1), "line 2"},
		"an option as a commit":    {pairsHeader + strings.Replace(good, "0123456", "--upload-pack=x", 1), "line 2"},
		"no check":                 {pairsHeader + strings.Replace(good, "make lint", "", 1), "line 2"},
	} {
		if _, err := parsePairs(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}
