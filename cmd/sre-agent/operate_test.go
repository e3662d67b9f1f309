package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sre-agent/sre-agent/streams"
)

// pty opens a terminal: what is written to the master is typed, and what is read from it is shown.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 60, Row: 20}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestOnATerminalItAsks(t *testing.T) {
	t.Parallel()
	for typed, dropped := range map[string]bool{"y\n": true, "YES\n": true, "\n": false, "n\n": false, "yellow\n": false, "\x04": false} {
		t.Run(fmt.Sprintf("%q", typed), func(t *testing.T) {
			t.Parallel()
			environ, bus := natsWithStreams(t)
			die(t, bus, "delivery-1", "malformed", "{}")
			master, slave := pty(t)
			if _, err := master.WriteString(typed); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			a := &app{stdout: &stdout, stderr: &stderr, environ: environ}
			root := a.root()
			root.SetArgs([]string{"dead", "drop", "1", "--why", "old"})
			root.SetIn(slave)
			code := a.exitCode(root.ExecuteContext(t.Context()))
			want := outcome{1, "", "nothing was done"}
			left := uint64(1)
			if dropped {
				want, left = outcome{0, "dropped 1 dead letter\n", ""}, 0
			}
			got := outcome{code, stdout.String(), stderr.String()}
			got.want(t, want.code, want.stdout, want.stderr)
			got.want(t, want.code, "", "drop 1 dead letter? [y/N] ")
			wantMessages(t, bus, streams.DeadStream, left)
		})
	}
}

func TestProgressIsABarOnATerminalAndCountsElsewhere(t *testing.T) {
	t.Parallel()
	master, slave := pty(t)
	bar := newProgress(slave, "replayed", 4, time.Now)
	bar.step(1)
	bar.line("2: evil\x1b[2J")
	bar.step(4)
	bar.end()
	var shown string
	for piece := make([]byte, 4096); !strings.HasSuffix(shown, "4 of 4\r\n"); { // a terminal hands out what it has so far
		n, err := master.Read(piece)
		if err != nil {
			t.Fatalf("%v after %q", err, shown)
		}
		shown += string(piece[:n])
	}
	for _, want := range []string{"[" + strings.Repeat("#", 10) + strings.Repeat(".", 30) + "] replayed 1 of 4", `2: evil\x1b[2J`, "[" + strings.Repeat("#", 40) + "] replayed 4 of 4\r\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in %q", want, shown)
		}
	}
	var out bytes.Buffer
	clock := time.Unix(0, 0)
	counts := newProgress(&out, "replayed", 1000, func() time.Time { return clock })
	for i := range 1000 {
		clock = clock.Add(15 * time.Millisecond)
		counts.step(i + 1)
	}
	counts.end()
	if out.String() != "replayed 334 of 1000\nreplayed 668 of 1000\n" {
		t.Errorf("counts: %q", out.String())
	}
}

func TestMomentsAreDurationsOrTimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "90m": now.Add(-90 * time.Minute), "7d": now.AddDate(0, 0, -7), "0s": now,
		"2026-01-31T09:00:00Z": time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC), "2026-01-31T09:00:00+02:00": time.Date(2026, 1, 31, 7, 0, 0, 0, time.UTC),
	} {
		if got, err := moment("--since", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"soon", "-1h", "d", "-1d", "1.5d", "99999d", "2026-01-31", "5"} {
		if got, err := moment("--since", text, now); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestWrongUseOfReplaysIsSaidSo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"no letters":                     {[]string{"dead", "replay"}, 2, "or all of them by --all"},
		"letters and all":                {[]string{"dead", "replay", "1", "--all"}, 2, "or all of them by --all"},
		"a reason without all":           {[]string{"dead", "replay", "1", "--reason", "x"}, 2, "--reason goes with --all"},
		"a letter's number that is none": {[]string{"dead", "show", "x\x1b[2J"}, 2, "is not a dead letter's number"},
		"letter zero":                    {[]string{"dead", "drop", "0", "--why", "x"}, 2, "is not a dead letter's number"},
		"letters without NATS":           {[]string{"dead", "list"}, 2, "NATS_URL is not set"},
		"a limit of nothing":             {[]string{"dead", "list", "--limit", "0"}, 2, "--limit must be"},
		"an unknown command":             {[]string{"dead", "bogus"}, 2, `unknown command "bogus"`},
		"no deliveries":                  {[]string{"deliveries", "replay"}, 2, "say which deliveries"},
		"a repository that is none":      {[]string{"deliveries", "replay", "--repository", "acme"}, 2, "is not owner/name"},
		"a time that is none":            {[]string{"deliveries", "replay", "--since", "soon"}, 2, "is neither a duration"},
		"times the wrong way round":      {[]string{"deliveries", "replay", "--since", "1h", "--until", "2h"}, 2, "--until is before --since"},
		"an unknown outcome":             {[]string{"deliveries", "list", "--outcome", "bogus"}, 2, "want one of run, coalesced"},
		"deliveries without a database":  {[]string{"deliveries", "show", "github", "x"}, 2, "DATABASE_URL is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := sreAgent(t, map[string]string{"USER": "ben"}, tc.args...)
			got.want(t, tc.code, "", tc.stderr)
			wantNothingDeceiving(t, got)
		})
	}
	got := sreAgent(t, map[string]string{"USER": "ben", "NATS_URL": "nats://127.0.0.1:1"}, "dead", "list")
	got.want(t, 1, "", "NATS does not answer")
}
