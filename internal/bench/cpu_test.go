package bench

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

const busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"

func TestCPUTimeCountsChildrenThatAreWaitedFor(t *testing.T) {
	before := OwnCPUTime(os.Getpid())
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", busy).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if used := OwnCPUTime(os.Getpid()) - before; used < 2*clockTick {
		t.Errorf("a busy child used %v", used)
	}
}

func TestCPUTimeCountsTheChildrenOfAServerThatRun(t *testing.T) {
	// The shell itself does nothing but wait.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "(while :; do :; done) & wait")
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	deadline := time.Now().Add(20 * time.Second)
	for CPUTime(cmd.Process.Pid) < 5*clockTick {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s: %v, its own %v", CPUTime(cmd.Process.Pid), OwnCPUTime(cmd.Process.Pid))
		}
	}
	if own := OwnCPUTime(cmd.Process.Pid); own >= 5*clockTick {
		t.Errorf("its own are %v", own)
	}
	for _, child := range children(cmd.Process.Pid) {
		p, err := os.FindProcess(child)
		if err != nil || p.Kill() != nil {
			t.Errorf("the child %d was not ended", child)
		}
	}
}

func TestCPUTimeOfNoProcessIsNone(t *testing.T) {
	if used := CPUTime(1 << 30); used != 0 {
		t.Errorf("%v", used)
	}
}
