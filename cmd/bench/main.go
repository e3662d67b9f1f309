// Command bench measures what docs/performance.md states: that a start costs the same however many runs wait,
// that a quiet repository does not feel a noisy one, how many runs end a second, and that the runner
// is quick. It starts real servers of its own and ends them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/sre-agent/sre-agent/internal/program"
)

const usage = `usage: bench schedule [flags]
       bench fairness [flags]
       bench pipeline [flags]
       bench runner [flags]
       bench telemetry [flags]

bench schedule -h, and so on, say which flags there are.
`

func main() {
	ctx, stop := program.Signals(context.Background())
	defer stop()
	if err := dispatch(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if args[0] == servePart && len(args) == 2 {
		return serve(ctx, args[1])
	}
	dir, err := os.MkdirTemp("", "sre-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	flags := flag.NewFlagSet("bench "+args[0], flag.ExitOnError)
	flags.Func("cpuprofile", "write a CPU profile of this process here", startProfile)
	defer pprof.StopCPUProfile()
	switch args[0] {
	case "schedule":
		return benchSchedule(ctx, dir, flags, args[1:])
	case "fairness":
		return benchFairness(ctx, dir, flags, args[1:])
	case "pipeline":
		return benchPipeline(ctx, dir, flags, args[1:])
	case "runner":
		return benchRunner(ctx, dir, flags, args[1:])
	case "telemetry":
		return benchTelemetry(ctx, dir, flags, args[1:])
	default:
		return fmt.Errorf("no such bench: %s", args[0])
	}
}

func startProfile(path string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(out)
}
