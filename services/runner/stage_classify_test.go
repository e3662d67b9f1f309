package runner

import (
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// actions is a failed step's log as GitHub Actions writes it.
func actions(command string, output ...string) string {
	lines := []string{"##[group]Run " + command, "\x1b[36;1m" + command + "\x1b[0m", "shell: /usr/bin/bash -e {0}", "##[endgroup]"}
	return strings.Join(append(append(lines, output...), "##[error]Process completed with exit code 1."), "\n") + "\n"
}

// classified is a pipeline and its work on a log, read as the first stage does.
func classified(t *testing.T, log, passing string, files ...string) (*FixPipeline, *work) {
	t.Helper()
	catalogue, err := fix.Load()
	if err != nil {
		t.Fatal(err)
	}
	tel := telemetry.NewTest()
	p := &FixPipeline{Catalogue: catalogue, Troubles: known{t: t}, Pulls: known{t: t}, Redact: redact.New([]string{"the-secret-value"}), Counters: tel.Counters, Log: tel.Log}
	w := &work{settings: repoconfig.Default(), catalogue: catalogue, files: files}
	if w.alone, err = p.explain([]byte(log), nil); err != nil {
		t.Fatal(err)
	}
	if w.log, err = p.explain([]byte(log), []byte(passing)); err != nil {
		t.Fatal(err)
	}
	p.noteLog(w)
	return p, w
}

func TestWhatNoChangeOfTheCodeMendsIsNeverPatched(t *testing.T) {
	check := `test -z "$(gofmt -l .)"`
	for name, tc := range map[string]struct {
		log    string
		reason string
	}{
		"the network is away while a lock file is read":            {actions("npm ci", "npm error code ECONNRESET", "npm error network request to https://registry.npmjs.org/x failed, reason: read ECONNRESET"), "infrastructure"},
		"the disk is full while gofmt runs":                        {actions(check, "gofmt: write /tmp/x: no space left on device"), "infrastructure"},
		"the job has no permission":                                {actions("npm ci", "npm error code E403", "npm error 403 Forbidden - GET https://npm.example/x"), "permission"},
		"a test is flaky":                                          {actions("npx playwright test", "  1 flaky", "    [chromium] a.spec.js flaky test passed on retry"), "flaky"},
		"source that speaks of the network is only laid out badly": {actions(`test -z "$(gofmt -l -s . | tee /dev/stderr)"`, "a.go", `-  err  = "read: connection reset by peer"`), ""},
		"gofmt complains":                                          {actions(check, "a.go"), ""},
		"nobody knows it":                                          {actions("make frobnicate", "frobnication failed"), "no_fixer"},
	} {
		t.Run(name, func(t *testing.T) {
			p, w := classified(t, tc.log, "", "a.go", "go.mod", "package.json", "package-lock.json")
			err := p.classify(t.Context(), w)
			if reason, _ := fault.Reason(err); reason != tc.reason {
				t.Fatalf("%q, want %q: class %s, %v, evidence %v", reason, tc.reason, w.log.Class, err, w.log.Evidence)
			}
			if tc.reason != "" && tc.reason != fix.ReasonNoFixer && (w.report.ClassLine == nil || !strings.Contains(err.Error(), "of the log says")) {
				t.Errorf("%v, evidence %+v", err, w.report.ClassLine)
			}
		})
	}
}

func TestWhatThePassingLogSaysTooIsNoPartOfTheFailure(t *testing.T) {
	old := []string{"warning: this is old", "a.go:1:1: File is not properly formatted (gofmt)"}
	passing := strings.Replace(actions("make lint", old...), "##[error]Process completed with exit code 1.", "ok", 1)
	p, w := classified(t, actions("make lint", append(old, "frobnication failed")...), passing, "a.go", "go.mod")
	if strings.Contains(w.log.Text, "old") || !strings.Contains(w.log.Text, "frobnication failed") || !strings.Contains(w.alone.Text, "old") {
		t.Errorf("with the passing log:\n%s\nalone:\n%s", w.log.Text, w.alone.Text)
	}
	if got := p.matches(w, w.log); len(got) > 0 {
		t.Errorf("a complaint that is in the green log too makes %v run", got)
	}
}

func TestASecretIsTakenOutBeforeALineIsCut(t *testing.T) {
	long := "error: " + strings.Repeat("x", 480) + " the-secret-value"
	_, w := classified(t, actions("make", long, "main.c:3:1: error: "+long), "")
	for part := "the-secret-value"; len(part) > 5; part = part[:len(part)-1] {
		if strings.Contains(string(w.report.JSON()), part) {
			t.Fatalf("%q is in the evidence: %s", part, w.report.JSON())
		}
	}
	if len(w.report.Diagnostics) == 0 || w.report.Class == "" {
		t.Errorf("evidence %+v", w.report)
	}
}

func TestOnlyWhatPassesByItselfIsRunAgainAndOnlyWhereItMay(t *testing.T) {
	no := false
	for name, tc := range map[string]struct {
		reason   string
		on       bool
		settings repoconfig.Config
		want     bool
	}{
		"infrastructure":                 {"infrastructure", true, repoconfig.Config{Mode: repoconfig.ModePR}, true},
		"a flaky test":                   {"flaky", true, repoconfig.Config{Mode: repoconfig.ModePR}, true},
		"a permission":                   {"permission", true, repoconfig.Config{Mode: repoconfig.ModePR}, false},
		"a check that can't be repeated": {reasonNotReproducible, true, repoconfig.Config{Mode: repoconfig.ModePR}, false},
		"the knob is off":                {"infrastructure", false, repoconfig.Config{Mode: repoconfig.ModePR}, false},
		"the repository says no":         {"infrastructure", true, repoconfig.Config{Mode: repoconfig.ModePR, Rerun: &no}, false},
		"the repository is in shadow":    {"infrastructure", true, repoconfig.Config{Mode: repoconfig.ModeShadow}, false},
	} {
		p, w := classified(t, actions("make", "x"), "", "a.go")
		p.Rerun, w.settings = tc.on, &tc.settings
		if got := p.ended(p.stages()[1], w, fault.Permf(tc.reason, "it")); got.Rerun != tc.want || got.Reason != tc.reason {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
