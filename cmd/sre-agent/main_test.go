package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/testenv"
)

type outcome struct {
	code           int
	stdout, stderr string
}

// sreAgent runs a command in this process.
func sreAgent(t *testing.T, environ map[string]string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := execute(args, environ, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

func (o outcome) want(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	if o.code != code || !strings.Contains(o.stdout, stdout) || !strings.Contains(o.stderr, stderr) {
		t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s\nwant %d, stdout with %q, stderr with %q", o.code, o.stdout, o.stderr, code, stdout, stderr)
	}
}

func TestExitCodesAndMessages(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		environ        map[string]string
		args           []string
		code           int
		stdout, stderr string
	}{
		"no command shows the help":              {args: nil, stdout: "Exit codes:"},
		"version":                                {args: []string{"version"}, stdout: "sre-agent "},
		"an unknown command":                     {args: []string{"bogus"}, code: 2, stderr: `unknown command "bogus"`},
		"an unknown command of a group":          {args: []string{"runs", "bogus"}, code: 2, stderr: `unknown command "bogus" for "sre-agent runs"`},
		"an unknown flag":                        {args: []string{"version", "--bogus"}, code: 2, stderr: "unknown flag"},
		"too many arguments":                     {args: []string{"version", "x"}, code: 2, stderr: "sre-agent: "},
		"a missing argument":                     {args: []string{"runs", "show"}, code: 2, stderr: "accepts 1 arg"},
		"a run's number that is none":            {args: []string{"runs", "show", "x\x1b[2J"}, code: 2, stderr: `is not a run's number`},
		"an unknown state":                       {args: []string{"runs", "list", "--state", "bogus"}, code: 2, stderr: "want one of waiting, ready"},
		"a limit of nothing":                     {args: []string{"runs", "list", "--limit", "0"}, code: 2, stderr: "--limit must be"},
		"no database named":                      {args: []string{"runs", "list"}, code: 2, stderr: "DATABASE_URL is not set"},
		"no database named to migrate":           {args: []string{"migrate"}, code: 2, stderr: "DATABASE_URL is not set"},
		"no NATS named":                          {args: []string{"streams", "apply"}, code: 2, stderr: "NATS_URL is not set"},
		"a bad knob":                             {args: []string{"migrate"}, environ: map[string]string{"MAX_PIPELINE_ATTEMPTS": "0"}, code: 2, stderr: "MAX_PIPELINE_ATTEMPTS"},
		"up without secrets":                     {args: []string{"up"}, code: 2, stderr: "GITHUB_WEBHOOK_SECRETS is not set"},
		"config of an unknown program":           {args: []string{"config", "--program", "x"}, code: 2, stderr: `unknown program "x"`},
		"a database that does not answer":        {args: []string{"migrate"}, environ: map[string]string{"DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/x"}, code: 1, stderr: "sre-agent: "},
		"a demo without its programs":            {args: []string{"demo", "--once"}, environ: map[string]string{"SANDBOX_BIN": "no-such-sandbox"}, code: 1, stderr: "`make demo` installs"},
		"a demo without bubblewrap says which":   {args: []string{"demo", "--once"}, environ: map[string]string{"SANDBOX_BIN": "no-such-sandbox"}, code: 1, stderr: "bubblewrap"},
		"config of a program that needs nothing": {args: []string{"config", "--program", "operator"}, stdout: "MAX_PIPELINE_ATTEMPTS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := sreAgent(t, tc.environ, tc.args...)
			got.want(t, tc.code, tc.stdout, tc.stderr)
			if strings.Contains(got.stdout+got.stderr, "hunter2") || strings.Contains(got.stderr, "\x1b") {
				t.Errorf("a secret or a control character came out: %q %q", got.stdout, got.stderr)
			}
		})
	}
}

func TestConfigShowsValuesAndSourcesButNoSecret(t *testing.T) {
	t.Parallel()
	secret, inFile, password := testenv.Canary(), testenv.Canary(), testenv.Canary()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(inFile+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := map[string]string{
		"GITHUB_WEBHOOK_SECRETS": secret, "GITHUB_READ_TOKEN_FILE": file, "GITHUB_WRITE_TOKEN": secret,
		"NATS_URL": "nats://user:" + password + "@127.0.0.1:4222", "COOLDOWN_SECONDS": "7",
	}
	for _, args := range [][]string{{"config"}, {"config", "--json"}} {
		got := sreAgent(t, environ, args...)
		got.want(t, 0, "[hidden]", "")
		for _, s := range []string{secret, inFile, password} {
			if strings.Contains(got.stdout+got.stderr, s) {
				t.Errorf("%v shows a secret:\n%s%s", args, got.stdout, got.stderr)
			}
		}
	}
	lines := sreAgent(t, environ, "config").stdout
	for _, want := range [][]string{
		{"COOLDOWN_SECONDS", "environment", "7"}, {"MAX_PIPELINE_ATTEMPTS", "default", "3"}, {"GITHUB_READ_TOKEN", "file", "[hidden]"},
	} {
		if !hasRow(lines, want) {
			t.Errorf("no line %q in:\n%s", want, lines)
		}
	}
}

func hasRow(text string, fields []string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Join(strings.Fields(line), " ") == strings.Join(fields, " ") {
			return true
		}
	}
	return false
}

func TestConfigListsEveryProblemAndStillShowsTheRest(t *testing.T) {
	t.Parallel()
	got := sreAgent(t, map[string]string{"COOLDOWN_SECONDS": "soon", "HTTP_ADDR": "nowhere"}, "config")
	got.want(t, 2, "MAX_PIPELINE_ATTEMPTS", "COOLDOWN_SECONDS")
	for _, name := range []string{"HTTP_ADDR", "GITHUB_WEBHOOK_SECRETS", "GITHUB_READ_TOKEN", "GITHUB_WRITE_TOKEN"} {
		if !strings.Contains(got.stderr, name) {
			t.Errorf("the problems do not name %s:\n%s", name, got.stderr)
		}
	}
}

func TestMigrateTwiceAppliesOnce(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"DATABASE_URL": testenv.Postgres(t)}
	sreAgent(t, environ, "migrate").want(t, 0, "applied 00001\n", "")
	sreAgent(t, environ, "migrate").want(t, 0, "nothing to apply\n", "")
	sreAgent(t, environ, "runs", "list").want(t, 0, "no runs\n", "")
	got := sreAgent(t, environ, "runs", "list", "--json")
	var none []any
	if err := json.Unmarshal([]byte(got.stdout), &none); err != nil || none == nil {
		t.Errorf("an empty list as JSON is %q", got.stdout)
	}
}

func TestStreamsApplyTwiceChangesOnce(t *testing.T) {
	t.Parallel()
	url, _ := testenv.NATS(t)
	environ := map[string]string{"NATS_URL": url, "DELIVERIES_MAX_BYTES": "10485760"}
	sreAgent(t, environ, "streams", "diff").want(t, 1, "DELIVERIES: stream: missing -> exists", "differ")
	sreAgent(t, environ, "streams", "apply").want(t, 0, "DELIVERIES: stream: missing -> exists", "")
	sreAgent(t, environ, "streams", "apply").want(t, 0, "nothing to change\n", "")
	sreAgent(t, environ, "streams", "diff").want(t, 0, "nothing to change\n", "")
}

func TestStreamsApplyShowsAndRefusesWhatWouldLoseMessages(t *testing.T) {
	t.Parallel()
	url, nc := testenv.NATS(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	config := jetstream.StreamConfig{Name: "DELIVERIES", Subjects: []string{"deliveries.>"}}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	got := sreAgent(t, map[string]string{"NATS_URL": url}, "streams", "apply")
	got.want(t, 1, "DELIVERIES: max_age: unlimited -> 168h0m0s (refused: ", "nothing was changed")
	if _, err := js.Stream(context.Background(), "RUNS"); err == nil {
		t.Error("a refused apply made another stream")
	}
}
