package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/testenv"
)

func TestTheLastLineIsAlwaysTheSummary(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "sim")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tc := range []struct {
		name string
		args []string
		// end does something to the processes once a few seeds are played.
		end func(t *testing.T, pid int)
		ok  func(summary) bool
		bad bool
	}{
		{"all seeds are played", []string{"-seeds", "20"}, nil, func(s summary) bool { return s.Rounds == 20 && !s.Interrupted }, false},
		{"a promise is broken", []string{"-seeds", "20", "-drop", "store.turn"}, nil, func(s summary) bool { return s.Rounds == 20 && s.Violations > 0 }, true},
		{"asked to stop", []string{"-seeds", "1000000"}, func(t *testing.T, pid int) {
			t.Helper()
			signalTo(t, pid, syscall.SIGTERM)
		}, func(s summary) bool { return s.Interrupted && s.Rounds > 0 && s.Violations == 0 }, true},
		{"the playing process dies", []string{"-seeds", "1000000"}, func(t *testing.T, pid int) {
			t.Helper()
			signalTo(t, child(t, pid), syscall.SIGKILL)
		}, func(s summary) bool {
			return s.Interrupted && s.Rounds > 0 && s.Violations > 0 && len(s.Playing) > 0
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			cmd := exec.CommandContext(t.Context(), bin, append(tc.args, "-seed", "1")...)
			cmd.Stdout, cmd.Stderr = &out, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if tc.end != nil {
				playing := child(t, cmd.Process.Pid)
				testenv.Eventually(t, 30*time.Second, func() bool { return busyFor(playing) > 100 }) // hundredths of a second
				tc.end(t, cmd.Process.Pid)
			}
			err := cmd.Wait()
			var exit *exec.ExitError
			if failed := errors.As(err, &exit) && exit.ExitCode() == 1; failed != tc.bad {
				t.Errorf("it ended with %v", err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			var s summary
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil || s.Tool != "sim" || !tc.ok(s) {
				t.Errorf("the last line is %q: %v", lines[len(lines)-1], err)
			}
		})
	}
}

func signalTo(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// child is the process that plays.
func child(t *testing.T, pid int) (found int) {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, func() bool {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, list := range lists {
			text, _ := os.ReadFile(list)
			if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				found = n
			}
		}
		return found != 0
	})
	return found
}

// busyFor is how long a process has computed.
func busyFor(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text)[bytes.LastIndexByte(text, ')')+1:])
	n, _ := strconv.Atoi(fields[11]) // user time is the 14th of all
	return n
}
