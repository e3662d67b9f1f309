package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeLog(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLogsExplainPrintsWhatFailedWithoutSecrets(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"DEPLOY_TOKEN": "canary-in-the-environment"}
	log := writeLog(t, "job.log", "$ make\nstart\n\x1b[31ma.go:1:2: undefined: x\x1b[0m canary-in-the-environment\nAuthorization: Bearer abcdefghijklmnop\nThe command \"make\" exited with 2.\n")
	plain := sreAgent(t, environ, "logs", "explain", log)
	plain.want(t, exitOK, "compile", "")
	plain.want(t, exitOK, "a.go:1:2", "")
	asJSON := sreAgent(t, environ, "logs", "explain", log, "--json")
	for _, out := range []string{plain.stdout, asJSON.stdout} {
		if strings.Contains(out, "canary") || strings.Contains(out, "abcdefghijklmnop") || strings.Contains(out, "\x1b") {
			t.Errorf("a secret or an escape is printed:\n%s", out)
		}
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(asJSON.stdout), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"excerpt", "class", "confidence", "transient", "command", "diagnostics", "fingerprint"} {
		if got[key] == nil {
			t.Errorf("%s is missing in %s", key, asJSON.stdout)
		}
	}
	if got["class"] != "compile" || got["command"] != "make" {
		t.Error(asJSON.stdout)
	}
}

func TestLogsExplainWithAPassingLogShowsWhatIsNew(t *testing.T) {
	t.Parallel()
	failing, passing := writeLog(t, "failing", "error: as always\nerror: new\n"), writeLog(t, "passing", "error: as always\n")
	got := sreAgent(t, nil, "logs", "explain", failing, "--passing", passing)
	got.want(t, exitOK, "error: new", "")
	if strings.Contains(got.stdout, "as always") {
		t.Error(got.stdout)
	}
	sreAgent(t, nil, "logs", "explain", failing+".missing").want(t, exitFailed, "", "no such file")
	sreAgent(t, nil, "logs", "explain").want(t, exitUsage, "", "arg")
}

func TestEvalLogsPrintsATableAndALineOfJSON(t *testing.T) {
	t.Parallel()
	sreAgent(t, nil, "eval", "logs", "--data", t.TempDir()).want(t, exitFailed, "", "logs/chunks")
}
