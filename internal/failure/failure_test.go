package failure_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/failure"
)

// stamp writes lines as GitHub's runner does.
func stamp(lines ...string) string {
	var b strings.Builder
	for i, l := range lines {
		fmt.Fprintf(&b, "2026-01-02T03:04:%02d.0000000Z %s\r\n", i%60, l)
	}
	return b.String()
}

const cyan = "\x1b[36;1m"

func setup() []string {
	return []string{
		"##[group]Run actions/checkout@v4", "with:", "  repository: a/b", "##[endgroup]", "Syncing repository: a/b",
		"##[group]Run go vet ./...", cyan + "go vet ./...\x1b[0m", "shell: /usr/bin/bash -e {0}", "##[endgroup]", "ok",
	}
}

func TestTheFailingCommandIsThatOfTheLastStepBeforeTheFirstProcessError(t *testing.T) {
	log := stamp(append(setup(),
		"##[group]Run echo checking", cyan+"echo checking\x1b[0m", cyan+`test -z "$(gofmt -l .)"`+"\x1b[0m",
		"shell: /usr/bin/bash -e {0}", "env:", "  CI: true", "##[endgroup]",
		"checking", "##[group]Run-time listing", "internal/a b.go", "./main.go", "##[endgroup]",
		"\x1b[31mmain.go:3:1: not formatted\x1b[0m",
		"##[error]Process completed with exit code 1.",
		"##[group]Run echo always", cyan+"echo always\x1b[0m", "shell: /usr/bin/bash -e {0}", "##[endgroup]",
		"##[error]Process completed with exit code 2.",
	)...)
	got := failure.Explain([]byte(log))
	want := failure.Report{
		Command: "echo checking\ntest -z \"$(gofmt -l .)\"",
		Step:    "echo checking",
		Files:   []string{"internal/a b.go", "b.go", "main.go"},
		Class:   failure.Format, Confidence: 0.95, Evidence: &failure.Line{Number: 23, Text: "main.go:3:1: not formatted"},
		Diagnostics: []failure.Diagnostic{{Tool: "gofmt", File: "main.go", Line: 3, Column: 1, Message: "not formatted"}},
		Excerpt: []failure.Line{
			{18, "checking"},
			{19, "##[group]Run-time listing"},
			{20, "internal/a b.go"},
			{21, "./main.go"},
			{22, "##[endgroup]"},
			{23, "main.go:3:1: not formatted"},
			{24, "##[error]Process completed with exit code 1."},
		},
	}
	var text []string
	for _, l := range want.Excerpt {
		text = append(text, l.Text)
	}
	want.Text = strings.Join(text, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestACommandWithoutColoursAndAStepThatIsAnAction(t *testing.T) {
	plain := failure.Explain([]byte(stamp("##[group]Run make lint", "make lint", "shell: /usr/bin/bash -e {0}", "##[endgroup]", "x.go:1: bad", "##[error]Process completed with exit code 2.")))
	if plain.Command != "make lint" {
		t.Errorf("%q", plain.Command)
	}
	action := failure.Explain([]byte(stamp("##[group]Run golangci/golangci-lint-action@v6", "with:", "  version: x", "##[endgroup]", "a.go:1:2: File is not properly formatted (gofmt)", "##[error]issues found")))
	if action.Command != "" || action.Step != "golangci/golangci-lint-action@v6" || !strings.Contains(action.Text, "not properly formatted") {
		t.Errorf("%+v", action)
	}
}

func TestALongStepShowsItsOneError(t *testing.T) {
	lines := []string{"##[group]Run make", cyan + "make\x1b[0m", "shell: /usr/bin/bash -e {0}", "##[endgroup]"}
	for i := range 5000 {
		if i == 700 {
			lines = append(lines, "pkg/a.go:12:3: undefined: foo")
		}
		lines = append(lines, fmt.Sprintf("compiling %d", i))
	}
	lines = append(lines, "make: *** [all] Error 1", "##[error]Process completed with exit code 2.")
	got := failure.Explain([]byte(stamp(lines...)))
	if len(got.Excerpt) > failure.MaxLines {
		t.Errorf("%d lines", len(got.Excerpt))
	}
	if !strings.Contains(got.Text, "undefined: foo") || got.Class != failure.Compile {
		t.Error(got.Class, got.Text)
	}
	for i := 1; i < len(got.Excerpt); i++ {
		if got.Excerpt[i].Number <= got.Excerpt[i-1].Number {
			t.Fatalf("the lines are not in order: %+v", got.Excerpt)
		}
	}
}

func TestOtherProvidersAndNoMarksAtAll(t *testing.T) {
	travis := failure.Explain([]byte("$ make\nok\nerror: bad thing\n\nThe command \"make test\" exited with 2.\nDone.\n"))
	if travis.Command != "make test" || !strings.Contains(travis.Text, "bad thing") {
		t.Errorf("%+v", travis)
	}
	gitlab := failure.Explain([]byte("\x1b[32;1m$ npx prettier --check .\x1b[0;m\n[warn] src/a b.js\nERROR: Job failed: exit code 1\n"))
	if gitlab.Command != "npx prettier --check ." || gitlab.Files[0] != "src/a b.js" {
		t.Errorf("%+v", gitlab)
	}
	bare := failure.Explain([]byte("one\ntwo"))
	if bare.Text != "one\ntwo" || bare.Command != "" {
		t.Errorf("%+v", bare)
	}
	if empty := failure.Explain(nil); len(empty.Excerpt) != 0 {
		t.Errorf("%+v", empty)
	}
}

func TestNamedFilesAreRelativeAndNeverClimbOut(t *testing.T) {
	log := stamp("/home/runner/work/repo/repo/src/a.go:3: x", "../../etc/passwd.txt", "/etc/shadow.conf", "diff --git a/lib/b.go b/lib/b.go", "diff c.go.orig c.go", "10%\r20%\rsrc/d.ts")
	got := failure.Explain([]byte(log)).Files
	have := map[string]bool{}
	for _, f := range got {
		have[f] = true
		if strings.HasPrefix(f, "/") || strings.Contains(f, "..") {
			t.Errorf("%q", f)
		}
	}
	for _, want := range []string{"src/a.go", "lib/b.go", "c.go", "src/d.ts"} {
		if !have[want] {
			t.Errorf("%s is not in %q", want, got)
		}
	}
}

func TestAnEndlessLineIsCut(t *testing.T) {
	got := failure.Explain([]byte("error: " + strings.Repeat("é", 5<<20)))
	if len(got.Text) > 1000 || !utf8.ValidString(got.Text) {
		t.Errorf("%d bytes", len(got.Text))
	}
}

func TestTheFingerprintIsThatOfTheTroubleNotOfTheRun(t *testing.T) {
	log := func(day int, sha, tmp, msg string) failure.Report {
		return failure.Explain([]byte(fmt.Sprintf("2026-01-%02dT00:00:00.0000000Z %s\n", day, "error: "+msg+" in /tmp/go-build"+tmp+"/x at "+sha+" after "+tmp+"ms")))
	}
	one := failure.Fingerprint(log(1, "0a1b2c3d4e5f", "123", "bad"), "1", "main", "ci")
	if len(one) != 64 {
		t.Errorf("%q", one)
	}
	if same := failure.Fingerprint(log(9, "ffeeddccbbaa99", "4567", "bad"), "1", "main", "ci"); same != one {
		t.Error("another run of the same failure has another fingerprint")
	}
	for name, other := range map[string]string{
		"another error":      failure.Fingerprint(log(1, "0a1b2c3d4e5f", "123", "worse"), "1", "main", "ci"),
		"another repository": failure.Fingerprint(log(1, "0a1b2c3d4e5f", "123", "bad"), "2", "main", "ci"),
		"another branch":     failure.Fingerprint(log(1, "0a1b2c3d4e5f", "123", "bad"), "1", "dev", "ci"),
		"another workflow":   failure.Fingerprint(log(1, "0a1b2c3d4e5f", "123", "bad"), "1", "main", "lint"),
		"a shifted boundary": failure.Fingerprint(log(1, "0a1b2c3d4e5f", "123", "bad"), "1m", "ain", "ci"),
	} {
		if other == one {
			t.Errorf("%s has the same fingerprint", name)
		}
	}
}

func FuzzExplainNeverPanicsAndStaysBounded(f *testing.F) {
	f.Add([]byte(stamp(setup()...)))
	f.Add([]byte("##[group]Run x\n##[error]Process completed with exit code 1."))
	f.Add([]byte("section_start:1:step_script\r\x1b[0K\x1b[32;1m$ make\x1b[0;m\nERROR: Job failed: exit code 1"))
	f.Add([]byte("##[section]Starting: a\nScript contents:\nmake\n=== Starting Command Output ===\n##[error]Bash exited with code '1'."))
	f.Add([]byte("[Pipeline] sh\n+ make\na.c:1:2: error: x\nERROR: script returned exit code 2"))
	f.Add([]byte("\x1b_bk;t=1\x07--- :go: x\n$ make\n^^^ +++\n🚨 Error: The command exited with status 1"))
	f.Add([]byte("error: x\n --> a.rs:1:2\n/x/a.js\n  1:2  error  y  z\na.ts(1,2): error TS1: q\n[warn] b.js"))
	f.Add([]byte("The command \"x\" exited with 1.\x1b]8;;\r\r\n\xff\xfe"))
	f.Fuzz(func(t *testing.T, log []byte) {
		r := failure.Explain(log)
		if len(r.Excerpt) > failure.MaxLines || len(r.Text) > failure.MaxLines*600 || !utf8.ValidString(r.Text+r.Command+r.Step) {
			t.Errorf("%d lines, %d bytes", len(r.Excerpt), len(r.Text))
		}
		for _, d := range r.Diagnostics {
			if d.File == "" || d.Line < 0 || !utf8.ValidString(d.File+d.Message) {
				t.Errorf("%+v", d)
			}
		}
		failure.Fingerprint(r, "1", "main", "ci")
		if same, err := failure.Read(bytes.NewReader(log), bytes.NewReader(log)); err != nil || len(same.Excerpt) > failure.MaxLines {
			t.Errorf("%v: %d lines", err, len(same.Excerpt))
		}
	})
}

func TestAHugeStepIsReadAtItsEndsAndWhereItLooksLikeAnError(t *testing.T) {
	filler := strings.Repeat("some ordinary line of output\n", 100_000)
	for name, log := range map[string]string{
		"start":  "main.go:1:2: undefined: trouble\n" + filler,
		"middle": filler + "panic: runtime error: trouble\n" + filler,
		"end":    filler + "fatal error: trouble\n",
	} {
		if got := failure.Explain([]byte(log)); !strings.Contains(got.Text, "trouble") {
			t.Errorf("%s: %+v", name, got.Excerpt)
		}
	}
}
