// Command mutants shows that the checks have power: it removes the guards of the system one at a time and demands
// that a test goes red for each.
//
// It promises that nothing in the tree is changed (a guard is removed in a copy of its file, which only the build of
// one test program reads, by go's -overlay); that a guard whose text is no longer there once is an error, never
// passed over; that what does not compile, or goes red for another reason than the guard's, is not taken for a
// catch; and that the tests are green with every guard in place.
//
//	go run ./internal/devtools/with go run ./internal/devtools/mutants
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
)

func main() {
	var o options
	pattern := flag.String("run", "", "only the guards whose name matches this expression")
	list := flag.Bool("list", false, "print the table of guards as Markdown and end")
	flag.IntVar(&o.jobs, "jobs", 2, "how many guards to remove at the same time")
	flag.BoolVar(&o.verbose, "v", false, "print what the red tests say")
	flag.StringVar(&o.root, "root", ".", "the module's folder")
	flag.Parse()
	if *list {
		fmt.Print(markdown(guards()))
		return
	}
	chosen, err := choose(guards(), *pattern)
	if err == nil {
		o.root, err = filepath.Abs(o.root)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok := run(ctx, os.Stdout, o, chosen)
	stop()
	if !ok {
		os.Exit(1)
	}
}

type options struct {
	root    string
	jobs    int
	verbose bool
}

func choose(all []Guard, pattern string) ([]Guard, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var out []Guard
	for _, g := range all {
		if re.MatchString(g.Name) {
			out = append(out, g)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no guard matches %q", pattern)
	}
	return out, nil
}

// run removes each guard in turn and says whether all were caught.
func run(ctx context.Context, w io.Writer, o options, all []Guard) bool {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		fmt.Fprintln(w, "mutants:", err)
		return false
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bench := &bench{root: o.root, dir: dir}
	if err := bench.baseline(ctx, all); err != nil {
		fmt.Fprintln(w, err)
		fmt.Fprintf(w, "mutants: 0/%d caught\n", len(all))
		return false
	}
	var mu sync.Mutex
	caught := 0
	work := make(chan Guard)
	var wg sync.WaitGroup
	for range max(1, o.jobs) {
		wg.Go(func() {
			for g := range work {
				v := bench.remove(ctx, g)
				mu.Lock()
				report(w, g, v, o.verbose)
				if v.caught {
					caught++
				}
				mu.Unlock()
			}
		})
	}
	for _, g := range all {
		work <- g
	}
	close(work)
	wg.Wait()
	fmt.Fprintf(w, "mutants: %d/%d caught\n", caught, len(all))
	return caught == len(all)
}

func report(w io.Writer, g Guard, v verdict, verbose bool) {
	word := "SURVIVED"
	if v.caught {
		word = "caught"
	}
	fmt.Fprintf(w, "%-8s %-4s %-33s %5.1fs  %s\n", word, g.Promise, g.Name, v.took.Seconds(), v.why)
	if v.output != "" && (verbose || !v.caught) {
		fmt.Fprintln(w, indent(v.output))
	}
}
