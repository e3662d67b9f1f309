package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// What the runner's speed is held to.
const (
	mostStartMs    = 50
	leastSpeedup   = 5
	mostExplain    = 2.0
	mostExplainMiB = 64
)

// runnerResult is the last line.
type runnerResult struct {
	Tool       string         `json:"tool"`
	Sandbox    sandboxResult  `json:"sandbox"`
	Container  *sandboxResult `json:"container,omitempty"`
	Checkout   checkoutResult `json:"checkout"`
	Explain    explainResult  `json:"explain"`
	Short      []string       `json:"short"`
	MemoryHeld string         `json:"sandbox_memory_by"`
}

type sandboxResult struct {
	P50Ms float64 `json:"p50_ms"`
	P95Ms float64 `json:"p95_ms"`
	Runs  int     `json:"runs"`
}

func benchRunner(ctx context.Context, dir string, flags *flag.FlagSet, args []string) error {
	starts := flags.Int("starts", 100, "sandboxes to start")
	image := flags.String("image", "", "start containers of this image too")
	engine := flags.String("engine", sandbox.Podman, "what starts them: podman or docker")
	repo := flags.String("repo", "", "take the commits of this git directory; else a repository is made")
	files := flags.Int("files", 4000, "files of the repository that is made")
	rounds := flags.Int("rounds", 7, "commits to check out")
	megabytes := flags.Int("log", 100, "megabytes of the log")
	child := flags.String("explain", "", "explain this log and print what it took; the bench calls itself so")
	_ = flags.Parse(args) // it exits by itself
	if *child != "" {
		return explainHere(*child)
	}
	res := runnerResult{Tool: "bench-runner", Short: []string{}}
	var err error
	found := sandbox.Find(ctx, "go", "gofmt", "node", "npm")
	if res.Sandbox, res.MemoryHeld, err = measureStarts(ctx, filepath.Join(dir, "src"), *starts, sandbox.Options{Backend: sandbox.Bubblewrap, HostToolchains: found}); err != nil {
		return err
	}
	if *image != "" {
		c, _, err := measureStarts(ctx, filepath.Join(dir, "src-container"), min(*starts, 20), sandbox.Options{Backend: *engine, Image: *image})
		if err != nil {
			return err
		}
		res.Container = &c
	}
	if res.Checkout, err = measureCheckouts(ctx, dir, *repo, *files, *rounds); err != nil {
		return err
	}
	if res.Explain, err = measureExplain(ctx, filepath.Join(dir, "log"), *megabytes<<20); err != nil {
		return err
	}
	res.print(os.Stdout)
	if err := json.NewEncoder(os.Stdout).Encode(res); err != nil {
		return err
	}
	if len(res.Short) > 0 {
		return errors.New("short of the target: " + strings.Join(res.Short, ", "))
	}
	return nil
}

// print writes the table, and notes what is short.
func (r *runnerResult) print(w io.Writer) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(what, is, target string, good bool) {
		verdict := "ok"
		if !good {
			verdict = "SHORT"
			r.Short = append(r.Short, what)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", what, is, target, verdict)
	}
	fmt.Fprintln(out, "what\tmeasured\ttarget\t")
	ms := fmt.Sprintf("< %d ms", mostStartMs)
	row("sandbox start, p50", fmt.Sprintf("%.1f ms", r.Sandbox.P50Ms), ms, r.Sandbox.P50Ms < mostStartMs)
	row("sandbox start, p95", fmt.Sprintf("%.1f ms", r.Sandbox.P95Ms), ms, r.Sandbox.P95Ms < mostStartMs)
	if r.Container != nil { // there is no target: an engine takes its time
		fmt.Fprintf(out, "container start, p50\t%.0f ms\t\t\n", r.Container.P50Ms)
		fmt.Fprintf(out, "container start, p95\t%.0f ms\t\t\n", r.Container.P95Ms)
	}
	row("warm checkout", fmt.Sprintf("%.1f times as fast (%.0f ms, clone %.0f ms, %d files)", r.Checkout.Speedup, r.Checkout.WarmMs, r.Checkout.CloneMs, r.Checkout.Files),
		fmt.Sprintf("%d times", leastSpeedup), r.Checkout.Speedup >= leastSpeedup)
	row("log explained, time", fmt.Sprintf("%.2f s of %d MB", r.Explain.Seconds, r.Explain.Megabytes), fmt.Sprintf("< %.0f s", mostExplain), r.Explain.Seconds < mostExplain)
	row("log explained, memory", fmt.Sprintf("%.0f MiB", r.Explain.PeakMiB), fmt.Sprintf("< %d MiB", mostExplainMiB), r.Explain.PeakMiB < mostExplainMiB)
	_ = out.Flush()
}

// measureStarts runs an empty script: what is left is the sandbox, from the call until everything is gone.
func measureStarts(ctx context.Context, src string, n int, opts sandbox.Options) (res sandboxResult, by string, err error) {
	s, err := sandbox.New(ctx, opts)
	if err != nil {
		return res, "", err
	}
	if err := os.Mkdir(src, 0o755); err != nil {
		return res, "", err
	}
	const warmUp = 5
	var took []time.Duration
	for i := range n + warmUp {
		begin := time.Now()
		out, err := s.Run(ctx, sandbox.Spec{Script: ":", Dir: src})
		if err != nil {
			return res, "", err
		}
		if out.ExitCode != 0 {
			return res, "", fmt.Errorf("the empty script ended with %d: %s", out.ExitCode, out.Output)
		}
		if i >= warmUp {
			took = append(took, time.Since(begin))
		}
		by = out.MemoryBy
	}
	return sandboxResult{P50Ms: millis(quantile(took, 50)), P95Ms: millis(quantile(took, 95)), Runs: n}, by, nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
