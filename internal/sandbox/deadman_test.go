package sandbox

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func sleeper(t *testing.T) (*exec.Cmd, <-chan struct{}) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); _ = cmd.Wait() }()
	return cmd, gone
}

func TestAWatchedProcessLivesWhileWeDoAndNoLonger(t *testing.T) {
	cmd, gone := sleeper(t)
	d, err := startDeadman(cmd.Process.Pid, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
		t.Fatal("it was killed though we beat")
	case <-time.After(3 * time.Second):
	}
	if d.close() {
		t.Error("it says that it killed")
	}
	if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("it was killed when the watch ended: %v", err)
	}
}

// TestASandboxEndsThoughItsProgramIsStopped: a lease that a stopped program does not renew is somebody else's, and two
// must not work on one run.
func TestASandboxEndsThoughItsProgramIsStopped(t *testing.T) {
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "SANDBOX_TEST_SCRIPT=while :; do date +%s%N >beat; sleep 0.05; done", "SANDBOX_TEST_DIR="+dir, "SANDBOX_TEST_SILENCE=1s", "SANDBOX_TEST_BACKEND="+s.Backend(), "SANDBOX_TEST_IMAGE="+testImage)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		// lives says whether the script still writes, by looking for as long as it could not go without.
		lives := func() bool {
			before, _ := os.ReadFile(filepath.Join(dir, "beat"))
			for range 20 {
				<-time.After(50 * time.Millisecond)
				if now, _ := os.ReadFile(filepath.Join(dir, "beat")); !bytes.Equal(now, before) {
					return true
				}
			}
			return false
		}
		for tries := 0; !lives(); tries++ {
			if tries == 30 {
				t.Fatal("the script does not run")
			}
		}
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		for tries := 0; lives(); tries++ {
			if tries == 600 {
				t.Fatal("the script goes on beside a stopped program")
			}
			<-time.After(20 * time.Millisecond)
		}
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil || !strings.Contains(said.String(), "had been stopped for more than 1s") {
			t.Errorf("%v, %s", err, said.String())
		}
	})
}
