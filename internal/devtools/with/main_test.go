package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test program be the command itself.
func TestMain(m *testing.M) {
	if os.Getenv("WITH_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

func with(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append([]string{"WITH_TEST_MAIN=1", "PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// named has both servers named, so that none is started.
var named = []string{"SRE_TEST_DATABASE_URL=postgres:///given", "SRE_TEST_REDIS_URL=redis://given"}

func TestItStartsServersAndStopsThem(t *testing.T) {
	t.Parallel()
	out, err := with(t, nil, "sh", "-c", `echo "$SRE_TEST_DATABASE_URL $SRE_TEST_REDIS_URL"`).Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(out))
	if len(words) != 2 || !strings.HasPrefix(words[0], "postgres:///sre_agent?host=") || !strings.HasPrefix(words[1], "unix:///") {
		t.Fatalf("the command saw %q", out)
	}
	socket, _, _ := strings.Cut(strings.TrimPrefix(words[1], "unix://"), "?")
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind: %v", socket, err)
	}
}

func TestItKeepsServersThatAreNamed(t *testing.T) {
	t.Parallel()
	out, err := with(t, named, "sh", "-c", `echo $SRE_TEST_DATABASE_URL $SRE_TEST_REDIS_URL`).Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != "postgres:///given redis://given" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestItEndsWithTheCommandsCode(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -9 $$": 128 + 9} {
		cmd := with(t, named, "sh", "-c", script)
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != want {
			t.Errorf("%s: %v, want code %d", script, err, want)
		}
	}
	cmd := with(t, named, "no-such-command")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "no-such-command") {
		t.Errorf("a missing command: code %d, %s", cmd.ProcessState.ExitCode(), out)
	}
}

func TestItForwardsSignals(t *testing.T) {
	t.Parallel()
	cmd := with(t, named, "sh", "-c", `trap 'exit 42' TERM; echo ready; while :; do read x || sleep 0.1; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its code is looked at below
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	if code := cmd.ProcessState.ExitCode(); code != 42 {
		t.Errorf("code %d, want the trap's 42", code)
	}
}
