package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

// demoCommand builds the program and prepares its demo, whose folder goes when the test ends.
func demoCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "sre-agent")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	// Not t.TempDir(): PostgreSQL's socket would get a path that is too long.
	tmp, err := os.MkdirTemp("", "sre-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	if err := os.Chmod(tmp, 0o711); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, bin, append([]string{"demo"}, args...)...)
	// The environment of a real installation must not matter.
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "NATS_URL=nats://127.0.0.1:1", "DATABASE_URL=postgres://127.0.0.1:1/x", "GITHUB_API_URL=bad")
	return cmd
}

var demoEnd = regexp.MustCompile(`^demo: ok: 1 pull request in \d+\.\ds, 5 deliveries, 2 duplicates$`)

func TestDemoEndsWithOnePullRequest(t *testing.T) {
	t.Parallel()
	cmd := demoCommand(t, "--once")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := stdout.String()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if err != nil || !demoEnd.MatchString(lines[len(lines)-1]) {
		t.Fatalf("%v\nstdout:\n%s\nstderr:\n%s", err, out, stderr.String())
	}
	for _, want := range []string{"/acme/hello/pull/1", "+func In(language, name string) string {", "red    greet/greet.go", "green", "verify", "pull_request_open", "pull_request_closed", "command.retry (done)", "/acme/hello/pull/2", "scene 2: "} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("there is colour where there is no terminal")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(logOf(t, out)), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("the demo left %q (%v), want its log alone", left, err)
	}
}

func TestDemoStaysUpUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	cmd := demoCommand(t)
	out := &syncBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	testenv.Eventually(t, 2*time.Minute, func() bool { return strings.Contains(out.String(), "services' log") || len(ended) > 0 })
	url := regexp.MustCompile(`DATABASE_URL='([^']+)'`).FindStringSubmatch(out.String())
	if url == nil {
		t.Fatalf("no database is named:\n%s", out.String())
	}
	sreAgent(t, map[string]string{"DATABASE_URL": url[1]}, "runs", "list").want(t, 0, "published", "")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestDemoThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	cmd := demoCommand(t, "--once")
	// A sandbox that runs nothing.
	cmd.Env = append(cmd.Env, "SANDBOX_BIN=/bin/false")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	if cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(stderr.String(), "sandbox") || !strings.Contains(stdout.String(), "services' log") {
		t.Errorf("exit code %d\nstdout:\n%s\nstderr:\n%s", cmd.ProcessState.ExitCode(), stdout.String(), stderr.String())
	}
	if strings.Contains(stdout.String(), "demo: ok") {
		t.Error("a demo that failed says ok")
	}
}

func logOf(t *testing.T, out string) string {
	t.Helper()
	m := regexp.MustCompile(`the services' log is (\S+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no log is named:\n%s", out)
	}
	return m[1]
}

func TestEventsAreToldInOneLineEach(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, e := range map[string]streams.Event{
		"    1.50s  ingest    workflow_run id: duplicate, ignored":                       {Kind: "delivery.duplicate", Detail: "workflow_run", DeliveryID: "id"},
		"    1.50s  throttle  push id: recorded, ignored (event_not_used)":               {Kind: "delivery.ignored", Detail: "push", DeliveryID: "id", Reason: "event_not_used"},
		"    1.50s  throttle  workflow_run id: recorded, run 3 is new":                   {Kind: "delivery.run", Detail: "workflow_run", DeliveryID: "id", RunID: 3},
		"    1.50s  runner    verify        declined (still_red), 2.00s":                 {Kind: "stage.verify", Stage: "verify", Detail: "declined", Reason: "still_red", Seconds: 2},
		"    1.50s  publisher run 3: published: https://forge.example/1":                 {Kind: "run.published", RunID: 3, Detail: "https://forge.example/1"},
		"    1.50s            run 3: blocked (max_attempts): " + `\x1b[2J`:               {Kind: "run.blocked", RunID: 3, Reason: "max_attempts", Detail: "\x1b[2J"},
		"    1.50s  publisher publication.waiting (dependency): the forge is away":       {Kind: "publication.waiting", Reason: "dependency", Detail: "the forge is away"},
		"    1.50s            something.new (why): what":                                 {Kind: "something.new", Reason: "why", Detail: "what"},
		"    1.50s  runner    run 3: attempt 2 begins":                                   {Kind: "run.running", RunID: 3, Attempt: 2},
		"    1.50s  throttle  workflow_run id: recorded, belongs to run 3":               {Kind: "delivery.coalesced", Detail: "workflow_run", DeliveryID: "id", RunID: 3},
		"    1.50s  throttle  workflow_run id: recorded, dead (malformed)":               {Kind: "delivery.dead", Detail: "workflow_run", DeliveryID: "id", Reason: "malformed"},
		"    1.50s  runner    run 3: a verified fix: red before, green after":            {Kind: "run.fixed", RunID: 3, Detail: "red before, green after"},
		"    1.50s            run 3: waiting (dependency): the log could not be fetched": {Kind: "run.waiting", RunID: 3, Reason: "dependency", Detail: "the log could not be fetched"},
	} {
		e.Time = began.Add(1500 * time.Millisecond)
		if got := (terminal{}).eventLine(e, began); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
