// Command fuzz runs every fuzz target of some packages, one after the other, each for a time.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

func main() {
	each := flag.Duration("time", 30*time.Second, "how long each target runs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *each, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, each time.Duration, patterns []string) error {
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	// One build of all tests finds the targets; most packages have none.
	out, err := exec.CommandContext(ctx, "go", append([]string{"test", "-list", "^Fuzz"}, patterns...)...).Output()
	if err != nil {
		return fmt.Errorf("go test -list: %w\n%s", err, out)
	}
	ran := 0
	for pkg, targets := range targetsOf(string(out)) {
		for _, target := range targets {
			if err := fuzz(ctx, pkg, target, each); err != nil {
				return fmt.Errorf("%s %s: %w", pkg, target, err)
			}
			ran++
		}
	}
	if ran == 0 {
		return fmt.Errorf("no fuzz target in %s", strings.Join(patterns, " "))
	}
	fmt.Printf("fuzz: %d targets, %s each, nothing found\n", ran, each)
	return nil
}

// targetsOf reads what go test -list prints: the targets of a package, then the package's own line.
func targetsOf(list string) func(func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		var targets []string
		for line := range strings.Lines(list) {
			fields := strings.Fields(line)
			switch {
			case len(fields) == 1 && strings.HasPrefix(fields[0], "Fuzz"):
				targets = append(targets, fields[0])
			case len(fields) > 1 && fields[0] == "ok":
				if len(targets) > 0 && !yield(fields[1], targets) {
					return
				}
				targets = nil
			}
		}
	}
}

func fuzz(ctx context.Context, pkg, target string, each time.Duration) error {
	var seen bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+target+"$", "-fuzztime", each.String(),
		"-fuzzminimizetime", "20x", "-parallel", "2", pkg) // minimising by time can take all of it
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &seen), os.Stderr
	fmt.Println(pkg, target)
	err := cmd.Run()
	if err != nil && overran(seen.String()) {
		fmt.Println("(the time was over in the middle of an input: nothing was found)")
		return nil
	}
	return err
}

// overran recognises the one failure that is none: on a busy machine the end of the time can reach a worker in the
// middle of an input, and go test reports that as the target's failure. A true one names the input.
// https://github.com/golang/go/issues/75804
func overran(output string) bool {
	return strings.Contains(output, "context deadline exceeded") && !strings.Contains(output, "Failing input") && !strings.Contains(output, "panic:")
}
