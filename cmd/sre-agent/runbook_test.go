package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

// block is a ```sh block of docs/ops.md.
type block struct {
	script string
	// codes are the exit codes that it may end with.
	codes []int
	// over says that it is how one knows that the incident is over.
	over bool
}

var (
	section   = regexp.MustCompile(`(?m)^#{2,3} +(.+?) *$`)
	shellCode = regexp.MustCompile("(?ms)^```sh([^\n]*)\n(.*?)^```")
)

// runbook is the blocks of docs/ops.md by their section.
func runbook(t *testing.T) map[string][]block { t.Helper(); return blocksOf(t, "ops.md") }

func blocksOf(t *testing.T, name string) map[string][]block {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	out := map[string][]block{}
	heads := section.FindAllStringSubmatchIndex(page, -1)
	for i, h := range heads {
		end := len(page)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		body := page[h[1]:end]
		over := strings.Index(body, "**Over**")
		for _, m := range shellCode.FindAllStringSubmatchIndex(body, -1) {
			b := block{script: body[m[4]:m[5]], codes: []int{}, over: over >= 0 && m[0] > over}
			for _, word := range strings.Fields(body[m[2]:m[3]]) {
				if n := int(word[0] - '0'); len(word) == 1 && n >= 0 && n <= 9 {
					b.codes = append(b.codes, n)
				}
			}
			if len(b.codes) == 0 {
				b.codes = []int{0}
			}
			out[page[h[2]:h[3]]] = append(out[page[h[2]:h[3]]], b)
		}
	}
	return out
}

// shellBin is a folder with sre-agent, which is this test's own program, and the nats program.
func shellBin(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec env %s=1 '%s' \"$@\"\n", asProgram, self)
	if err := os.WriteFile(filepath.Join(dir, "sre-agent"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	nats, err := filepath.Abs("../../.bin/nats")
	if err == nil {
		_, err = os.Stat(nats)
	}
	if err != nil {
		t.Fatalf("%v: make test installs it", err)
	}
	if err := os.Symlink(nats, filepath.Join(dir, "nats")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shell runs a block as it would be pasted, and fails the test when it ends otherwise than the page says.
func (n *incident) run(t *testing.T, bin string, b block) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", n.shell()+b.script)
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "USER=ada"}
	cmd.Dir = n.work
	out, err := cmd.CombinedOutput()
	t.Logf("$ %s\n%s", strings.TrimSpace(b.script), out)
	if code := cmd.ProcessState.ExitCode(); !slices.Contains(b.codes, code) {
		t.Fatalf("exit code %d (%v), want one of %v", code, err, b.codes)
	}
	if bytes.Contains(out, []byte(n.environ["GITHUB_WEBHOOK_SECRETS"])) {
		t.Error("it shows the webhook's secret")
	}
}

// TestTheRunbook brings about each incident on a real system and ends it with the commands of its section alone.
func TestTheRunbook(t *testing.T) {
	blocks := runbook(t)
	bin := shellBin(t)
	for _, s := range scenarios() {
		parts := s.parts
		if len(parts) == 0 {
			parts = []string{""}
		}
		for _, part := range parts {
			t.Run(strings.Trim(s.name+"/"+part, "/"), func(t *testing.T) {
				own := blocks[s.name]
				if len(own) < 3 {
					t.Fatalf("docs/ops.md has %d blocks under %q", len(own), s.name)
				}
				n := s.startFor(t, part)
				if s.over(t.Context(), n) {
					t.Fatal("the incident is over before anybody did anything")
				}
				for _, b := range own {
					if b.over {
						testenv.Eventually(t, time.Minute, func() bool { return s.over(t.Context(), n) })
					}
					n.run(t, bin, b)
				}
			})
		}
	}
}

// TestTheFirstLook runs the commands of the page that belong to no incident.
func TestTheFirstLook(t *testing.T) {
	bin := shellBin(t)
	s := scenario{name: "none", bring: func(ctx context.Context, n *incident, _ string) error { return n.failAndSend(ctx) }, over: onePublished}
	n := s.startFor(t, "")
	testenv.Eventually(t, time.Minute, func() bool { return s.over(t.Context(), n) })
	for _, title := range []string{"The first look", "Replaying by publishing again"} {
		for _, b := range runbook(t)[title] {
			n.run(t, bin, b)
		}
	}
	// What was published again is known.
	testenv.Eventually(t, time.Minute, func() bool { return backlogOver(t.Context(), n) })
	if counts, err := n.st.DeliveryCounts(t.Context()); err != nil || counts[store.OutcomeRun] != 1 || len(counts) != 1 {
		t.Errorf("records: %v, %v", counts, err)
	}
}

// TestEveryBlockOfTheRunbookIsRun: a section that no test knows would be run by none.
func TestEveryBlockOfTheRunbookIsRun(t *testing.T) {
	t.Parallel()
	known := []string{"The first look", "Replaying by publishing again"}
	for _, s := range scenarios() {
		known = append(known, s.name)
	}
	for title := range runbook(t) {
		if !slices.Contains(known, title) {
			t.Errorf("no test runs the commands under %q", title)
		}
	}
}

func (s scenario) startFor(t *testing.T, part string) *incident {
	t.Helper()
	dir, err := os.MkdirTemp("", "sre-incident-") // short: there are sockets below
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n, err := s.bringAbout(t.Context(), dir, part)
	if err != nil {
		t.Fatal(err)
	}
	n.work = t.TempDir()
	t.Cleanup(func() {
		if t.Failed() {
			if text, err := os.ReadFile(filepath.Join(dir, "services.log")); err == nil {
				t.Logf("services.log:\n%s", text[max(0, len(text)-8000):])
			}
		}
		_ = n.close() // an outage may still be there
	})
	return n
}
