package failure_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sre-agent/sre-agent/internal/failure"
)

// repeated is a log that nobody holds in memory.
type repeated struct {
	part []byte
	left int
	at   int
}

func repeat(part string, size int) *repeated { return &repeated{part: []byte(part), left: size} }

func (r *repeated) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.left)], r.part[r.at:])
	r.at = (r.at + n) % len(r.part)
	r.left -= n
	return n, nil
}

// peak reads a log and says by how much the heap grew at most, as seen after every megabyte.
func peak(tb testing.TB, log, passing io.Reader) (failure.Report, uint64) {
	tb.Helper()
	debug.FreeOSMemory()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	// Garbage is collected before it comes near the bound, so what goes beyond is kept by somebody.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(before.Sys-before.HeapReleased) + maxHeap*2/3))
	most := uint64(0)
	seen := 0
	watch := func(p []byte) {
		if seen += len(p); seen >= 1<<20 {
			seen = 0
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
		}
	}
	r, err := failure.Read(io.TeeReader(log, writer(watch)), passing)
	if err != nil {
		tb.Fatal(err)
	}
	runtime.ReadMemStats(&now)
	most = max(most, now.HeapInuse)
	return r, most - min(most, before.HeapInuse)
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

const (
	// maxHeap is less than what the promise allows (64 MB), so that a log kept whole shows with a smaller one.
	maxHeap  = 24 << 20
	ordinary = "2026-01-02T03:04:05.0000000Z compiling some/package.go in some folder ok 12ms\n"
)

func TestALogOfAnySizeAndShapeCostsBoundedMemory(t *testing.T) {
	const size = 16 << 20
	for name, part := range map[string]string{
		"ordinary lines": ordinary,
		"empty lines":    "\n",
		"short lines":    "x\n",
		"one line":       "error: x ",
		"one bar":        "50% of it\r",
		"error lines":    "a.go:1:2: error: undefined: x\n",
		"open groups":    "##[group]Run x\n",
		"steps":          "##[group]Run x\nshell: y\n##[endgroup]\na\n##[error]Process completed with exit code 1.\n",
		"open commands":  "The command \"x\n",
		"escapes":        "\x1b]8;;\x1b[",
		"no text":        "\xff\xfe\x00",
	} {
		t.Run(name, func(t *testing.T) {
			r, heap := peak(t, repeat(part, size), repeat(part, size/4))
			if heap > maxHeap {
				t.Errorf("%d MB", heap>>20)
			}
			if len(r.Excerpt) > failure.MaxLines {
				t.Errorf("%d lines", len(r.Excerpt))
			}
		})
	}
}

func TestALogThatBreaksOffIsExplainedAsFarAsItGoes(t *testing.T) {
	broken := errors.New("connection lost")
	r, err := failure.Read(io.MultiReader(strings.NewReader("a.go:1:2: undefined: x\n"), iotest.ErrReader(broken)), nil)
	if !errors.Is(err, broken) || !strings.Contains(r.Text, "undefined: x") {
		t.Errorf("%v: %+v", err, r)
	}
	if _, err := failure.Read(strings.NewReader("x"), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestAPassingLogLeavesWhatIsNew(t *testing.T) {
	var passing, failing []string
	for i := range 200 {
		line := fmt.Sprintf("error handling test %d: failed as expected in %dms", i, 3*i)
		passing = append(passing, line)
		failing = append(failing, fmt.Sprintf("error handling test %d: failed as expected in %dms", i, 7*i))
		if i == 90 {
			failing = append(failing, "TypeError: x is not a function", "    at run (a.js:3:4)")
		}
	}
	r, err := failure.Read(strings.NewReader(strings.Join(failing, "\n")), strings.NewReader(strings.Join(passing, "\n")))
	if err != nil || r.Text != "TypeError: x is not a function\n    at run (a.js:3:4)" {
		t.Errorf("%v: %q", err, r.Text)
	}
	lines, err := failure.ErrorLines(strings.NewReader(strings.Join(failing, "\n")), strings.NewReader(strings.Join(passing, "\n")))
	if err != nil || len(lines) != 2 || lines[0] != 92 || lines[1] != 93 {
		t.Errorf("%v: %v", err, lines)
	}
}

func TestSecretsLeaveEveryPartOfAReport(t *testing.T) {
	const secret = "canary-0123456789"
	log := stamp("##[group]Run deploy "+secret, cyan+"deploy "+secret+"\x1b[0m", "shell: x", "##[endgroup]",
		"-----BEGIN RSA PRIVATE KEY-----", "c2VjcmV0bGluZQ", "-----END RSA PRIVATE KEY-----",
		secret+"/a.go:1:2: error: "+secret, "##[error]Process completed with exit code 1.")
	r := failure.Explain([]byte(log)).Redacted(func(s string) string { return strings.ReplaceAll(s, secret, "***") })
	if text := fmt.Sprintf("%+v %+v", r, r.Evidence); strings.Contains(text, secret) || strings.Contains(text, "c2VjcmV0bGluZQ") || !strings.Contains(text, "***") {
		t.Error(text)
	}
}

// cpuSeconds are the seconds that this process has computed, on all cores: what others take of the machine isn't
// in them.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkRead100MB prints the seconds, the computed seconds and the peak heap, in megabytes, of explaining a log of
// 100 MB.
func BenchmarkRead100MB(b *testing.B) {
	for _, bench := range []struct{ name, part string }{
		{"OneStep", ordinary},
		{"ManySteps", stamp("##[group]Run make", cyan+"make\x1b[0m", "shell: x", "##[endgroup]") + strings.Repeat(ordinary, 1000)},
		{"Errors", "a.go:1:2: error: undefined: x in some function of some package\n"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			most, start, cpu := uint64(0), time.Now(), cpuSeconds(b)
			for b.Loop() {
				_, heap := peak(b, io.MultiReader(repeat(bench.part, 100<<20), bytes.NewReader([]byte("\na.go:1:2: undefined: x\n"))), nil)
				most = max(most, heap)
			}
			b.ReportMetric(time.Since(start).Seconds()/float64(b.N), "s/log")
			b.ReportMetric((cpuSeconds(b)-cpu)/float64(b.N), "cpu-s/log")
			b.ReportMetric(float64(most>>20), "MB-heap")
		})
	}
}
