package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/sre-agent/sre-agent/internal/bench"
	"github.com/sre-agent/sre-agent/internal/failure"
)

// explainResult is what one long log took, in a process of its own.
type explainResult struct {
	Seconds   float64 `json:"seconds"`
	PeakMiB   float64 `json:"peak_mib"`
	Megabytes int     `json:"megabytes"`
	Lines     int     `json:"excerpt_lines"`
}

func measureExplain(ctx context.Context, path string, size int) (res explainResult, err error) {
	if err := writeLog(path, size); err != nil {
		return res, err
	}
	self, err := os.Executable()
	if err != nil {
		return res, err
	}
	cmd := exec.CommandContext(ctx, self, "runner", "-explain", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return res, fmt.Errorf("explain: %w", err)
	}
	if err := json.Unmarshal(out, &res); err != nil {
		return res, fmt.Errorf("explain: %w", err)
	}
	if res.Lines == 0 {
		return res, errors.New("explain: the excerpt is empty")
	}
	res.Megabytes = size >> 20
	return res, nil
}

// explainHere does the work and prints what it took.
func explainHere(path string) error {
	begin := time.Now()
	log, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	report, err := failure.Read(log, nil)
	if err != nil {
		return err
	}
	res := explainResult{Seconds: time.Since(begin).Seconds(), Lines: len(report.Excerpt)}
	peak := bench.PeakMemory(os.Getpid())
	if peak == 0 {
		return errors.New("the system does not say how much memory this took")
	}
	res.PeakMiB = float64(peak) / (1 << 20)
	return json.NewEncoder(os.Stdout).Encode(res)
}

// writeLog writes a job's log as GitHub keeps it: a long build, and a test that fails near its end.
func writeLog(path string, size int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w := bufio.NewWriterSize(f, 1<<20)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	n := 0
	line := func(text string) {
		at = at.Add(137 * time.Millisecond)
		written, _ := w.WriteString(at.Format("2006-01-02T15:04:05.0000000Z") + " " + text + "\n")
		n += written
	}
	line("##[group]Run go test ./...")
	line("go test ./...")
	line("##[endgroup]")
	for i := 0; n < size-20_000; i++ {
		line(fmt.Sprintf("\x1b[36mok\x1b[0m  \texample.com/shop/internal/part%d\t%d.%03ds\tcoverage: %d.%d%% of statements in ./...", i, i%60, i%1000, i%100, i%10))
		if i%50 == 0 {
			line("warning: the error budget of part " + strconv.Itoa(i) + " is not failing yet")
		}
	}
	for _, text := range []string{
		"--- FAIL: TestTotal (0.00s)", "    total_test.go:31: got 41, want 42", "FAIL", "FAIL\texample.com/shop/internal/cart\t0.014s", "FAIL",
		"##[error]Process completed with exit code 1.", "Post job cleanup.",
	} {
		line(text)
	}
	return w.Flush()
}
