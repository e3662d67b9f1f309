package failure_test

import (
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/failure"
)

func TestTheFailingCommandIsReadWhereEachProviderSaysIt(t *testing.T) {
	const trouble = "main.go:3:2: undefined: trouble"
	for provider, tc := range map[string]struct {
		log, command string
	}{
		"GitHub": {
			stamp("##[group]Run go build ./...", cyan+"go build ./...\x1b[0m", "shell: /usr/bin/bash -e {0}", "##[endgroup]", trouble, "##[error]Process completed with exit code 1.", "Post job cleanup.", "error: nothing to clean"),
			"go build ./...",
		},
		"GitLab": {
			"section_start:1700000000:prepare_script\r\x1b[0KPreparing\nsection_end:1700000001:prepare_script\r\x1b[0K\n" +
				"section_start:1700000001:step_script\r\x1b[0KExecuting\n\x1b[32;1m$ go version\x1b[0;m\ngo1\n\x1b[32;1m$ go build ./...\x1b[0;m\n" + trouble + "\n" +
				"section_end:1700000002:step_script\r\x1b[0Ksection_start:1700000002:after_script\r\x1b[0KRunning after_script\n\x1b[32;1m$ echo bye\x1b[0;m\n" +
				"section_end:1700000003:after_script\r\x1b[0K\x1b[31;1mERROR: Job failed: exit code 1\n\x1b[0;m\n",
			"go build ./...",
		},
		"GitLab with times": {
			"2026-01-02T03:04:05.678901Z 00O section_start:1700000001:step_script\r\n2026-01-02T03:04:05.678901Z 01O \x1b[32;1m$ go build ./...\x1b[0;m\n" +
				"2026-01-02T03:04:06.678901Z 01E " + trouble + "\n2026-01-02T03:04:07.678901Z 00O ERROR: Job failed: exit status 1\n",
			"go build ./...",
		},
		"Azure": {
			stamp("##[section]Starting: Build", "==============", "Task         : Command line", "Generating script.", "Script contents:", "go build ./...", "========================== Starting Command Output ===========================", trouble, "##[error]Bash exited with code '1'.", "##[section]Finishing: Build", "##[section]Starting: Checkout", "fine"),
			"go build ./...",
		},
		"Buildkite": {
			"~~~ Running agent environment hook\n\x1b_bk;t=1700000000000\x07$ /etc/hook\n\x1b_bk;t=1700000000001\x07~~~ Running commands\n\x1b_bk;t=1700000000002\x07\x1b[90m$\x1b[0m go build ./...\n" + trouble + "\n^^^ +++\n🚨 Error: The command exited with status 1\n~~~ Running agent pre-exit hook\n$ /etc/bye\n",
			"go build ./...",
		},
		"CircleCI": {
			"#!/bin/bash -eo pipefail\ngo build ./...\n" + trouble + "\n\nExited with code exit status 1\n",
			"go build ./...",
		},
		"Jenkins": {
			"Started by user x\n[Pipeline] Start of Pipeline\n[Pipeline] sh\n+ go version\ngo1\n+ go build ./...\n" + trouble + "\n[Pipeline] }\nERROR: script returned exit code 1\nFinished: FAILURE\n",
			"go build ./...",
		},
		"Travis": {
			"travis_fold:start:install\r\x1b[0Ktravis_time:start:1\r\x1b[0K$ go get\nok\ntravis_time:end:1:start=1,finish=2,duration=1\r\x1b[0K\x1b[32;1mThe command \"go get\" exited with 0.\x1b[0m\n" +
				"travis_time:start:2\r\x1b[0K$ go build ./...\n" + trouble + "\ntravis_time:end:2:start=1,finish=2,duration=1\r\x1b[0K\x1b[31;1mThe command \"go build ./...\" exited with 1.\x1b[0m\n\nDone. Your build exited with 1.\n",
			"go build ./...",
		},
		"Travis with a command of two lines": {
			"travis_time:start:2\r\x1b[0K$ go build &&\ngo vet\n" + trouble + "\nThe command \"go build &&\ngo vet\" exited with 1.\n",
			"go build &&\ngo vet",
		},
	} {
		t.Run(provider, func(t *testing.T) {
			got := failure.Explain([]byte(tc.log))
			if got.Command != tc.command {
				t.Errorf("the command is %q", got.Command)
			}
			if got.Class != failure.Compile || !strings.Contains(got.Text, trouble) || strings.Contains(got.Text, "nothing to clean") {
				t.Errorf("%s: %q", got.Class, got.Text)
			}
			if len(got.Diagnostics) != 1 || got.Diagnostics[0].File != "main.go" || got.Diagnostics[0].Line != 3 {
				t.Errorf("%+v", got.Diagnostics)
			}
		})
	}
}

func TestAStepsOwnGroupsStartNoStep(t *testing.T) {
	got := failure.Explain([]byte(stamp("##[group]Run make", cyan+"make\x1b[0m", "shell: x", "##[endgroup]", "a.go:1:2: undefined: x",
		"##[group]Run gofmt -l .", "a.go", "##[endgroup]", "##[group]Run never closed", "b", "##[error]Process completed with exit code 2.")))
	if got.Command != "make" || !strings.Contains(got.Text, "undefined: x") {
		t.Errorf("%q: %s", got.Command, got.Text)
	}
}

func TestWhatATerminalWouldShow(t *testing.T) {
	for raw, want := range map[string]string{
		"\x1b[31merror\x1b[0m: x":                 "error: x",
		"10%\r50%\rdone\r":                        "done",
		"\x1b]8;;http://x\x07link\x1b]8;;\x07":    "link",
		"\x1b_bk;t=1\x07text":                     "text",
		"2026-01-02T03:04:05.6789012Z text":       "text",
		"\ufeff2026-01-02T03:04:05.6789012Z text": "text",
		"[2026-01-02T03:04:05.678Z] text":         "text",
		"2026-01-02T03:04:05.678901Z 01O+text":    "text",
		"2026-01-02T03:04:05 is no stamp":         "2026-01-02T03:04:05 is no stamp",
		"a\x00b\x08c\x7fd\u0085e":                 "abcde",
		"\xff\xfe bad":                            "\ufffd\ufffd bad",
		"\x1b[":                                   "",
		"\x1b":                                    "",
		"\x1b]8;;never ends":                      "",
		"tab\tstays":                              "tab\tstays",
	} {
		lines := failure.Lines([]byte(raw))
		if len(lines) != 1 || lines[0].Text != want {
			t.Errorf("%q: %+v, want %q", raw, lines, want)
		}
	}
}
