// Command sim plays the services' real handler and decision code on doubles of everything around them, with seeded
// faults at every step and a virtual clock, and checks the promises after each step.
//
// The last line of its output is one line of JSON, also when it is asked to stop or the playing breaks off; it exits with
// 1 then, and when a promise did not hold. A seed that fails is
// printed and plays again in exactly the same way: sim -seeds 1 -seed N, which shows its trace.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/cmd/sim/world"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// summary is the last line.
type summary struct {
	Tool       string  `json:"tool"`
	Rounds     int     `json:"rounds"`
	Seed       uint64  `json:"seed"`
	Faults     int     `json:"faults"`
	Violations int     `json:"violations"`
	Failed     []int64 `json:"failed_seeds,omitempty"`
	Steps      int     `json:"steps"`
	Runs       int     `json:"runs"`
	Published  int     `json:"published"`
	Virtual    float64 `json:"virtual_hours"`
	Seconds    float64 `json:"seconds"`
	// Interrupted says that fewer seeds were played than asked for. Playing are those that were not over.
	Interrupted bool     `json:"interrupted,omitempty"`
	Playing     []uint64 `json:"playing,omitempty"`
}

func main() {
	seeds := flag.Int("seeds", 1000, "how many seeds to play")
	seed := flag.Uint64("seed", 0, "the first seed; 0 takes one from the clock")
	drop := flag.String("drop", "", "drop a guard of the doubles, to see the simulation go red")
	most := flag.Int("show", 5, "how many failing seeds to show")
	trace := flag.Bool("trace", false, "show the trace of every seed")
	child := flag.Bool("child", false, "play; without it, start a child that does, and report even when it can't")
	testing.Init()
	flag.Parse()
	if !*child {
		os.Exit(supervise(*seed))
	}
	debug.SetGCPercent(400) // worlds are small and short
	s := &sim{
		first: *seed, rounds: *seeds, show: *most, out: os.Stdout, counters: telemetry.NewTest().Counters, ends: map[string]int{},
		progress: os.NewFile(progressFD, "progress"), playing: map[uint64]bool{}, began: time.Now(),
	}
	s.listen()
	if *drop != "" {
		s.off = guard.Off{guard.Name(*drop): true}
	}
	if *trace || *seeds == 1 {
		s.trace = os.Stdout
	}
	// A synctest bubble needs a *testing.T, and testing.Main is how a program comes by one. It never returns: the one
	// test ends the process.
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "sim", F: s.main}}, nil, nil)
}

// sim plays seeds on all cores.
type sim struct {
	first    uint64
	rounds   int
	show     int
	off      guard.Off
	out      io.Writer
	trace    io.Writer
	counters *telemetry.Counters

	// progress tells the parent how far we are.
	progress io.Writer
	began    time.Time

	mu      sync.Mutex
	next    int
	stopped bool
	playing map[uint64]bool
	ends    map[string]int
	sum     summary
}

// listen has the first signal end the playing; what was played is reported.
func (s *sim) listen() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stopped = true
	}()
}

func (s *sim) main(t *testing.T) {
	s.run(t)
	for _, what := range slices.Sorted(maps.Keys(s.ends)) {
		fmt.Fprintf(s.out, "%8d %s\n", s.ends[what], what)
	}
	line, err := json.Marshal(s.sum)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Fprintln(s.out, string(line))
	if s.sum.Violations > 0 || s.sum.Interrupted {
		os.Exit(1)
	}
	os.Exit(0)
}

func (s *sim) run(t *testing.T) {
	s.sum = summary{Tool: "sim", Seed: s.first}
	shards := runtime.GOMAXPROCS(0)
	if s.trace != nil {
		shards = 1
	}
	t.Run("shards", func(t *testing.T) {
		for i := range shards {
			t.Run(fmt.Sprint(i), func(t *testing.T) { t.Parallel(); s.shard(t) })
		}
	})
	if t.Failed() {
		s.sum.Violations = max(1, s.sum.Violations)
	}
	s.sum.Interrupted = s.sum.Rounds < s.rounds
	s.sum.Seconds = time.Since(s.began).Seconds()
}

// take hands out the next seed.
func (s *sim) take() (seed uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next >= s.rounds || s.stopped {
		return 0, false
	}
	s.next++
	seed = s.first + uint64(s.next-1)
	s.playing[seed] = true
	sum := s.sum
	sum.Playing, sum.Seconds = slices.Sorted(maps.Keys(s.playing)), time.Since(s.began).Seconds()
	if err := json.NewEncoder(s.progress).Encode(sum); err != nil {
		os.Exit(1) // nobody listens any more
	}
	return seed, true
}

func (s *sim) shard(t *testing.T) {
	for {
		seed, ok := s.take()
		if !ok {
			return
		}
		s.note(seed, world.Play(t, world.Options{Seed: seed, Off: s.off, Trace: s.trace, Counters: s.counters}))
	}
}

func (s *sim) note(seed uint64, r world.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.playing, seed)
	s.sum.Rounds++
	s.sum.Faults += r.Faults
	s.sum.Steps += r.Steps
	s.sum.Runs += r.Runs
	s.sum.Published += r.Published
	s.sum.Virtual += r.Virtual.Hours()
	for what, n := range r.Ends {
		s.ends[what] += n
	}
	if len(r.Violations) == 0 {
		return
	}
	s.sum.Violations += len(r.Violations)
	s.sum.Failed = append(s.sum.Failed, int64(seed))
	if len(s.sum.Failed) > s.show {
		return
	}
	for _, v := range r.Violations {
		fmt.Fprintf(s.out, "seed %d: %s\n", seed, v)
	}
	fmt.Fprintf(s.out, "  play it again: make sim SEEDS=1 SEED=%d\n", seed)
}
