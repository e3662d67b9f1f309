// Command chaos breaks the whole system at random moments, lets it calm down, and checks from the outside that every
// promise of the design held.
//
// It promises that a round's faults and deliveries depend on its seed alone (when they hit is up to the machine), that
// everything it starts ends with it, and that its last line is one line of JSON; it exits 1 on any violation.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/cluster"
)

// options are the command line.
type options struct {
	rounds int
	seed   uint64
	conf   string
	keep   bool
	settle time.Duration
	// strikes makes as many rounds as strike that often, of nothing but strikes.
	strikes int
	// defaults measures recovery with the default knobs, instead of rounds.
	defaults bool
}

// result is the last line.
type result struct {
	Tool       string `json:"tool"`
	Rounds     int    `json:"rounds"`
	Seed       uint64 `json:"seed"`
	Faults     int    `json:"faults"`
	Strikes    int    `json:"strikes"` // those of the faults that hit a publisher right at an effect
	Violations int    `json:"violations"`
	Deliveries int    `json:"deliveries"`
	Runs       int    `json:"runs"`
	PRs        int    `json:"prs"`
	Exits      int    `json:"exits"`
	SettleMost int    `json:"settle_max_seconds"`
	Seconds    int    `json:"seconds"`
}

func main() { os.Exit(run()) }

func run() int {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how many rounds")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of the first round, the next ones count on; 0 takes one from the clock")
	flag.StringVar(&o.conf, "nats-conf", "deploy/nats.conf", "the NATS server's configuration")
	flag.BoolVar(&o.keep, "keep", false, "keep the logs and data of a run without violations too")
	flag.DurationVar(&o.settle, "settle", 4*time.Minute, "how long a round may take to end after its faults are over")
	flag.IntVar(&o.strikes, "strikes", 0, "in place of rounds: how often publishers are killed right before or after an effect on the forge")
	flag.BoolVar(&o.defaults, "defaults", false, "no rounds: measure recovery from kill -9 with the default knobs")
	flag.Parse()
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000_000
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	res, err := o.play(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	line, _ := json.Marshal(res) // numbers and strings always fit
	fmt.Println(string(line))
	if err != nil || res.Violations > 0 {
		return 1
	}
	return 0
}

func (o options) play(ctx context.Context) (res result, err error) {
	res = result{Tool: "chaos", Seed: o.seed}
	began := time.Now()
	defer func() { res.Seconds = int(time.Since(began).Seconds()) }()
	dir, err := os.MkdirTemp("", "sre-chaos-")
	if err != nil {
		return res, err
	}
	// PostgreSQL runs as another user when we are root, and has to get to its folder.
	if err := os.Chmod(dir, 0o711); err != nil {
		return res, err
	}
	defer func() {
		if o.keep || res.Violations > 0 || err != nil && ctx.Err() == nil {
			fmt.Println("logs and data are in", dir)
		} else {
			_ = os.RemoveAll(dir)
		}
	}()
	bin := filepath.Join(dir, "bin")
	if err := cluster.Build(ctx, bin); err != nil {
		return res, err
	}
	conf, err := filepath.Abs(o.conf)
	if err != nil {
		return res, err
	}
	tl := &timeline{}
	tl.reset()
	settings := knobs
	if o.defaults {
		settings = defaultKnobs
	}
	s, err := startSystem(ctx, dir, bin, conf, settings, tl)
	if err != nil {
		return res, err
	}
	defer s.stop()
	if o.defaults {
		return res, measure(ctx, s, &res)
	}
	err = o.playRounds(ctx, s, &res)
	return res, err
}

func (o options) playRounds(ctx context.Context, s *system, res *result) error {
	forge := newForgeFaults()
	s.scene.Forge.SetFault(forge.next)
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	r := &rounds{
		s: s, out: os.Stdout, loader: &loader{s: s}, people: &people{s: s}, collect: newCollector(s), forge: forge, rec: newRecovery(),
		sampler: startSampler(s.dir, s.quit), settle: o.settle, reported: map[string]bool{}, plan: chaos.Plan,
	}
	if o.strikes > 0 {
		r.plan = chaos.PlanStrikes
	}
	var err error
	for n := 0; o.strikes == 0 && n < o.rounds || forge.struck < o.strikes; n++ {
		if err = r.one(ctx, n+1, o.seed+uint64(n)); err != nil {
			break
		}
		res.Rounds++
	}
	t := r.totals
	res.Faults, res.Violations, res.Deliveries, res.Runs, res.PRs = t.faults, t.violations, t.deliveries, t.runs, t.prs
	res.Strikes = forge.struck
	res.SettleMost, res.Exits = t.settledMost, s.timeline.exits
	_, most := r.sampler.seen()
	fmt.Printf("at most %d sandboxes at once; longest recovery with short knobs (lease 3 s, backoff 1 s): %v\n", most, r.rec)
	return err
}

// awaitReady waits until every program says that it is ready.
func (s *system) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for name, addr := range s.addrs {
		for !isReady(ctx, addr) {
			if !wait(ctx, 50*time.Millisecond) {
				return fmt.Errorf("%s is not ready", name)
			}
		}
	}
	return nil
}
