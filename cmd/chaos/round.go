package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
)

// rounds are carried out on one system.
type rounds struct {
	s       *system
	out     io.Writer
	loader  *loader
	collect *collector
	forge   *forgeFaults
	rec     *recovery
	sampler *sampler
	people  *people
	settle  time.Duration
	plan    func(seed uint64, w chaos.World) []chaos.Fault

	sent     []chaos.Sent
	failures []chaos.Failure
	reported map[string]bool
	totals   totals
	played   int
}

// totals are the figures of the last line.
type totals struct{ faults, deliveries, runs, prs, violations, settledMost int }

// one carries out a round and returns what it found broken.
func (r *rounds) one(ctx context.Context, number int, seed uint64) error {
	began := time.Now()
	load, err := r.loader.prepare(ctx, seed)
	if err != nil {
		return fmt.Errorf("prepare the round: %w", err)
	}
	plan := r.plan(seed, world())
	r.s.timeline.reset()
	calm, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		load.send(calm, "http://"+r.s.addrs["ingest"], r.s.secrets["the webhook secret"])
	}()
	lived := make(chan struct{})
	go func() {
		defer close(lived)
		r.people.live(calm, load.acts)
	}()
	r.s.wreck(ctx, plan, r.forge, r.rec)
	r.s.timeline.note("calm")
	quiet := time.Now()
	pending := r.await(ctx, load, sent)
	settled := time.Since(quiet)
	cancel()
	<-sent
	<-lived
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h, err := r.history(ctx, load, plan)
	if err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	if pending != nil {
		h.Broken = append(h.Broken, pending.Error())
	}
	r.rec.workResumed(h)
	if err := r.noteSlow(ctx, load, settled); err != nil {
		return err
	}
	r.report(number, seed, plan, h, time.Since(began), settled)
	return nil
}

// slow is how long a round may take to settle before its timeline is shown.
const slow = 20 * time.Second

func (r *rounds) noteSlow(ctx context.Context, load *load, settled time.Duration) error {
	if settled < slow {
		return nil
	}
	all, _ := load.outcome()
	ids := make([]string, 0, len(all))
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	text, err := r.collect.slowest(ctx, ids)
	if text != "" {
		r.s.timeline.note("%s", text)
	}
	return err
}

// await waits until everything sent is answered and recorded and every run has ended.
func (r *rounds) await(ctx context.Context, load *load, sent <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, r.settle)
	defer cancel()
	select {
	case <-sent:
	case <-ctx.Done():
		return fmt.Errorf("%w: a delivery is not answered", errNotSettled)
	}
	all, _ := load.outcome()
	var accepted []string
	for _, s := range all {
		if s.Accepted {
			accepted = append(accepted, s.ID)
		}
	}
	for {
		open, err := r.collect.settled(ctx, accepted)
		if err == nil && open == "" {
			return nil
		}
		if !wait(ctx, 100*time.Millisecond) {
			return fmt.Errorf("%w: %s, %w", errNotSettled, open, errOrNil(err))
		}
	}
}

func errOrNil(err error) error {
	if err == nil {
		return errNotSettled
	}
	return err
}

func (r *rounds) history(ctx context.Context, load *load, plan []chaos.Fault) (chaos.History, error) {
	sent, broken := load.outcome()
	r.sent = append(r.sent, sent...)
	r.failures = append(r.failures, load.failures...)
	r.collect.seenRepos = append(r.collect.seenRepos, load.repos...)
	for _, repo := range load.repos {
		r.collect.hurts[repo] = r.forge.hurt(repo) + publisherHurts(plan)
	}
	h := chaos.History{Sent: r.sent, Failures: r.failures, Broken: broken, Outages: r.s.timeline.outages(), Holds: r.people.holds}
	h.Sandboxes, _ = r.sampler.seen()
	if err := r.collect.collect(ctx, &h); err != nil {
		return h, err
	}
	r.played++
	h.Round = r.played
	var err error
	h.Counts, err = r.collect.counts(ctx, load)
	return h, err
}

// publisherHurts is how many requests the round's faults may have taken out of publishers' hands: each publisher has
// two workers.
func publisherHurts(plan []chaos.Fault) (n int) {
	for _, f := range plan {
		publisher := strings.HasPrefix(f.Target, "publisher") || strings.HasPrefix(f.Peer, "publisher")
		everybody := f.Kind == chaos.Cut && f.Peer == "" || f.Target == "postgres" || f.Target == "nats"
		switch {
		case f.Kind == chaos.Forge: // counted one by one
		case f.Kind == chaos.Strike:
			n += 2 * len(publishers)
		case publisher:
			n += 2
		case everybody:
			n += 4
		}
	}
	return n
}

// report prints the round's line, and what is new among the violations with the timeline.
func (r *rounds) report(number int, seed uint64, plan []chaos.Fault, h chaos.History, took, settled time.Duration) {
	states := map[string]int{}
	for _, run := range h.Runs {
		name := run.State
		if run.State != "published" {
			name += "(" + run.Reason + ")"
		}
		states[name]++
	}
	fresh := []string{}
	for _, v := range chaos.Check(h) {
		if !r.reported[v] {
			r.reported[v] = true
			fresh = append(fresh, v)
		}
	}
	r.totals.faults += len(plan)
	r.totals.deliveries, r.totals.runs, r.totals.prs = len(h.Sent), len(h.Runs), len(h.PullRequests)
	r.totals.violations += len(fresh)
	r.totals.settledMost = max(r.totals.settledMost, int(settled.Seconds()))
	fmt.Fprintf(r.out, "round %d seed %d: %d faults, %.1f s, settled %.1f s after them; runs so far: %v\n", number, seed, len(plan), took.Seconds(), settled.Seconds(), states)
	if len(fresh) == 0 && settled < slow {
		return
	}
	slices.Sort(fresh)
	for _, v := range fresh {
		fmt.Fprintf(r.out, "  VIOLATION (seed %d) %s\n", seed, v)
	}
	fmt.Fprintf(r.out, "  timeline:\n    %s\n", strings.ReplaceAll(r.s.timeline.text(), "\n", "\n    "))
}
