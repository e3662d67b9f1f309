package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMakePlan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		m           machine
		want        plan
		wantMessage []string
	}{
		{"nothing missing, nothing to do", machine{os: "linux", apt: true}, plan{}, nil},
		{
			"root installs by itself",
			machine{os: "linux", apt: true, missing: []string{"git", "C compiler"}},
			plan{install: true, packages: []string{"git", "gcc", "libc6-dev"}},
			nil,
		},
		{
			"sudo without a password is used",
			machine{os: "linux", apt: true, uid: 1000, sudo: true, missing: []string{"bubblewrap"}},
			plan{install: true, prefix: []string{"sudo", "-n"}, packages: []string{"bubblewrap"}},
			nil,
		},
		{
			"without sudo it prints both lines",
			machine{os: "linux", apt: true, uid: 1000, missing: []string{"PostgreSQL server", "redis-server"}},
			plan{},
			[]string{
				"missing: PostgreSQL server, redis-server",
				"sudo apt-get install -y --no-install-recommends postgresql redis-server\n",
				"brew install postgresql redis\n",
			},
		},
		{
			"another Linux gets the lines, even for root",
			machine{os: "linux", missing: []string{"npm"}},
			plan{},
			[]string{"--no-install-recommends npm\n", "brew install node\n"},
		},
		{
			"node is named once for brew",
			machine{os: "darwin", uid: 501, missing: []string{"node", "npm"}},
			plan{},
			[]string{"brew install node\n"},
		},
		{
			"macOS is told about the sandbox",
			machine{os: "darwin", uid: 501, missing: []string{"bubblewrap"}},
			plan{},
			[]string{"needs Linux"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := makePlan(tt.m)
			message := got.message
			got.message = ""
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(plan{})); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if (message == "") != (tt.wantMessage == nil) {
				t.Errorf("message %q", message)
			}
			for _, part := range tt.wantMessage {
				if !strings.Contains(message, part) {
					t.Errorf("%q is not in the message:\n%s", part, message)
				}
			}
		})
	}
}

func TestMissingFor(t *testing.T) {
	t.Parallel()
	nothing := func(string) bool { return false }
	demo := missingFor(forDemo, nothing)
	want := []string{"git", "CA certificates", "bubblewrap", "PostgreSQL server"}
	if diff := cmp.Diff(want, demo); diff != "" {
		t.Errorf("the demo's tools (-want +got):\n%s", diff)
	}
	for _, name := range []string{"redis-server", "C compiler", "node", "npm", "black", "isort", "poetry", "podman", "promtool"} {
		if !slices.Contains(missingFor(forTest, nothing), name) {
			t.Errorf("the tests don't ask for %s", name)
		}
	}
	if got := missingFor(forTest, func(string) bool { return true }); len(got) > 0 {
		t.Errorf("with everything there, %v is missing", got)
	}
}

func TestSandboxAdvice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, value string
		container         bool
		want              string
	}{
		{"user namespaces off", "/proc/sys/kernel/unprivileged_userns_clone", "0", false, "kernel.unprivileged_userns_clone=1"},
		{"AppArmor", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", false, "kernel.apparmor_restrict_unprivileged_userns=0"},
		{"a limit of none", "/proc/sys/user/max_user_namespaces", "0", false, "user.max_user_namespaces="},
		{"a container", "", "", true, "seccomp=unconfined"},
		{"no known cause", "", "", false, "Look at what bwrap says"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := sandboxAdvice(func(path string) string {
				if path == tt.path {
					return tt.value
				}
				return ""
			}, tt.container)
			if !strings.Contains(got, tt.want) {
				t.Errorf("%q is not in:\n%s", tt.want, got)
			}
		})
	}
}

func TestInstallCommandIsAShellScriptThatParses(t *testing.T) {
	t.Parallel()
	args := installCommand(plan{install: true, prefix: []string{"sudo", "-n"}, packages: []string{"git", "gcc"}})
	want := []string{"sudo", "-n", "sh", "-c", installScript, "setup", "git", "gcc"}
	if diff := cmp.Diff(want, args); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", "-c", installScript).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
