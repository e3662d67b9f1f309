package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p := &Process{Name: "shell", Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "log")}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func (p *Process) wantLog(t *testing.T, want string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Second)
	for {
		text, err := os.ReadFile(p.Log)
		if err == nil && string(text) == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the log is %q, %v; want %q", text, err, want)
		}
	}
}

func TestAProcessIsKilledAndStartedAgainOnTheSameLog(t *testing.T) {
	p := shell(t, "echo began; exec sleep 60")
	p.wantLog(t, "began\n")
	first := p.PID()
	if err := p.Start(); !errors.Is(err, ErrRunning) {
		t.Errorf("a second start: %v", err)
	}
	p.Kill()
	if p.Running() {
		t.Error("it runs after kill -9")
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.wantLog(t, "began\nbegan\n")
	if p.PID() == first {
		t.Error("it has the same process id")
	}
}

func TestAPausedProcessCanBeKilled(t *testing.T) {
	p := shell(t, "exec sleep 60")
	p.Pause()
	p.Kill()
	if p.Running() {
		t.Error("it runs")
	}
}

func TestAProcessThatDoesNotStopIsKilled(t *testing.T) {
	p := shell(t, "trap '' TERM; echo ready; while :; do sleep 0.1; done")
	p.wantLog(t, "ready\n")
	if err := p.Stop(100 * time.Millisecond); err == nil || p.Running() {
		t.Errorf("stopped: %v, runs: %v", err, p.Running())
	}
	if err := shell(t, "exec sleep 60").Stop(5 * time.Second); err != nil {
		t.Error(err)
	}
}

func TestAProgramIsGivenWhatItNeedsAndNoMore(t *testing.T) {
	p := Program("bin", t.TempDir(), "runner", "runner-1", "127.0.0.1:1", map[string]string{
		"GITHUB_READ_TOKEN": "r", "GITHUB_WRITE_TOKEN": "w", "GITHUB_WEBHOOK_SECRETS": "s", "LEASE_TTL_SECONDS": "3",
	})
	for env, want := range map[string]bool{
		"GITHUB_READ_TOKEN=r": true, "LEASE_TTL_SECONDS=3": true, "GITHUB_WRITE_TOKEN=w": false, "GITHUB_WEBHOOK_SECRETS=s": false,
	} {
		if slices.Contains(p.Env, env) != want {
			t.Errorf("%s given: %v, want %v", env, !want, want)
		}
	}
	if !strings.HasSuffix(p.Path, "bin/runner") || !strings.HasSuffix(p.Log, "runner-1.log") {
		t.Errorf("%s logs to %s", p.Path, p.Log)
	}
}
