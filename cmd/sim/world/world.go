// Package world is the simulation: the services' real handler and decision code on doubles of the stream, the store,
// the locks, the forge and the clock, with seeded faults at every step.
//
// It promises that a seed says everything: whoever acts draws from a generator of its own, wakes at a moment of its
// own (to the nanosecond of the virtual clock), and touches nothing shared before it has slept; so the same seed
// gives the same steps in the same order, however the goroutines are scheduled.
package world

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/cmd/sim/memforge"
	"github.com/sre-agent/sre-agent/cmd/sim/memlease"
	"github.com/sre-agent/sre-agent/cmd/sim/memstore"
	"github.com/sre-agent/sre-agent/cmd/sim/memstream"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/streams"
)

// Options say how a seed is run.
type Options struct {
	Seed uint64
	// Off is the set of guards that are dropped.
	Off guard.Off
	// Trace gets a line for each step, when it is not nil.
	Trace io.Writer
	// Counters may be shared by all worlds.
	Counters *telemetry.Counters
}

// Violation is a promise that did not hold.
type Violation struct {
	// Promise is its number in the design.
	Promise string
	Text    string
	At      time.Duration
}

func (v Violation) String() string { return fmt.Sprintf("%s at %s: %s", v.Promise, v.At, v.Text) }

// Result is what became of a seed.
type Result struct {
	Violations []Violation
	Steps      int
	Faults     int
	Runs       int
	Published  int
	// Ends counts how runs ended, and what deliveries became.
	Ends map[string]int
	// Virtual is how much time passed in the world.
	Virtual time.Duration
}

// knobs are drawn from the seed.
type knobs struct {
	limits     run.Limits
	ttl        time.Duration
	interval   time.Duration
	perMinute  int
	rate       float64 // of faults, per step
	chaosEvery time.Duration
	faultPhase time.Duration
	repos      int
	deliveries int
	throttles  int
	runners    int
	publishers int
	caps       store.Caps
	incidents  time.Duration
}

func draw(r *rng) knobs {
	ttl := r.dur(3*time.Second, 10*time.Second)
	base := r.dur(time.Second, 4*time.Second)
	k := knobs{
		limits: run.Limits{
			MaxAttempts: r.in(1, 3), BaseBackoff: base, MaxBackoff: base * time.Duration(r.in(1, 4)), PerRepository: r.in(1, 2), Lease: ttl,
		},
		ttl: ttl, interval: ttl, perMinute: r.in(4, 60),
		rate: pick(r, []float64{0, 0.002, 0.01, 0.03}), chaosEvery: pick(r, []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second, time.Hour}),
		faultPhase: r.dur(20*time.Second, 90*time.Second), repos: r.in(1, 3), deliveries: r.in(3, 14),
		throttles: r.in(1, 2), runners: r.in(1, 3), publishers: r.in(1, 2),
	}
	if r.chance(0.6) {
		k.limits.Cooldown = r.dur(time.Second, 12*time.Second).Truncate(time.Millisecond)
	}
	return k
}

// World is one simulated installation.
type World struct {
	Options
	knobs
	// mu guards everything: a step's effect and its checks hold it.
	mu    sync.Mutex
	start time.Time
	root  rng
	log   *slog.Logger

	store *memstore.Store
	redis *memlease.Redis
	forge *memforge.Forge
	jets  map[string]*memstream.Stream
	bells map[string]chan struct{}
	snaps map[string]any
	skew  time.Duration // of Redis's clock
	down  map[dep]time.Time

	slots  []*slot
	calm   bool
	calmAt time.Time
	over   bool
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	result Result
	seen   books
	failed chan struct{}
}

// Run plays one seed to its end. It has to be called in a synctest bubble.
func Run(o Options) Result {
	w := newWorld(o)
	w.play()
	w.finish()
	return w.result
}

func newWorld(o Options) *World {
	w := &World{
		Options: o, root: rng{o.Seed*0x9e3779b97f4a7c15 + 1}, start: time.Now(), log: slog.New(slog.DiscardHandler), forge: memforge.New(o.Off),
		jets: map[string]*memstream.Stream{}, bells: map[string]chan struct{}{}, snaps: map[string]any{}, down: map[dep]time.Time{},
		failed: make(chan struct{}), seen: newBooks(), result: Result{Ends: map[string]int{}},
	}
	if o.Trace != nil {
		w.log = slog.New(slog.NewTextHandler(&stamped{w}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: noTime}))
	}
	r := w.root.child("knobs", 0)
	w.knobs = draw(&r)
	r = w.root.child("restraint", 0)
	w.restrain(&r)
	w.store = memstore.New(time.Now, o.Off)
	w.redis = memlease.New(func() time.Time { return time.Now().Add(w.skew) }, o.Off)
	w.forge.Bad = func(format string, args ...any) { w.bad("I2", format, args...) }
	w.ctx, w.cancel = context.WithCancel(context.Background())
	rows := streams.Topology(streams.Settings{MaxAttempts: w.limits.MaxAttempts, BaseBackoff: w.limits.BaseBackoff, MaxBackoff: w.limits.MaxBackoff})
	for _, row := range rows {
		for _, c := range row.Consumers {
			name := row.Stream.Name
			w.jets[name] = memstream.New(memstream.Config{
				Name: name, WorkQueue: name != streams.Deliveries, Duplicates: row.Stream.Duplicates, MaxDeliver: c.MaxDeliver, BackOff: c.BackOff,
			}, time.Now, o.Off)
			w.jets[name].Alive = alive
			w.jets[name].Exhausted = func(seq uint64, n int) { w.exhausted(name, seq, n) }
			w.bells[name] = make(chan struct{})
		}
	}
	w.tracef("knobs %+v", w.knobs)
	return w
}

func noTime(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, "holder":
		return slog.Attr{}
	}
	return a
}

// stamped puts the virtual time before each line.
type stamped struct{ w *World }

func (s *stamped) Write(line []byte) (int, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return fmt.Fprintf(s.w.Trace, "%12.6f   log %s", time.Since(s.w.start).Seconds(), line)
}

func (w *World) tracef(format string, args ...any) {
	if w.Trace != nil {
		fmt.Fprintf(w.Trace, "%12.6f %s\n", time.Since(w.start).Seconds(), fmt.Sprintf(format, args...))
	}
}

// bad notes a violation; the first one ends the seed.
func (w *World) bad(promise, format string, args ...any) {
	v := Violation{promise, fmt.Sprintf(format, args...), time.Since(w.start)}
	w.tracef("VIOLATION %s", v)
	w.result.Violations = append(w.result.Violations, v)
	if len(w.result.Violations) == 1 {
		close(w.failed)
	}
}

// ring wakes whoever waits for a stream's messages.
func (w *World) ring(stream string) {
	close(w.bells[stream])
	w.bells[stream] = make(chan struct{})
}

func (w *World) exhausted(stream string, seq uint64, n int) {
	w.tracef("stream %s gives up %d after %d deliveries", stream, seq, n)
	if stream == streams.Advisories || w.Off[guard.StreamMover] {
		return
	}
	w.jets[streams.Advisories].Publish(&streams.Message{Type: "advisory", Subject: stream, RunID: int64(seq), Fence: int64(n)})
	w.ring(streams.Advisories)
}

// calmLimit is how much time everything may take to end once nothing disturbs it any more.
const calmLimit = 12 * time.Hour

func (w *World) play() {
	w.people()
	for i := range w.throttles {
		w.launch("throttle", i)
	}
	for i := range w.runners {
		w.launch("runner", i)
	}
	for i := range w.publishers {
		w.launch("publisher", i)
	}
	w.act("generator", w.generate)
	w.act("people", w.livePeople)
	w.act("operator", w.operate)
	w.act("owner", w.own)
	w.act("chaos", w.chaos)
	w.rest(w.faultPhase)
	w.mu.Lock()
	w.calm, w.calmAt = true, time.Now()
	w.tracef("calm")
	w.mu.Unlock()
	w.settle()
}

// settle waits until everything has ended.
func (w *World) settle() {
	for nap := 500 * time.Millisecond; ; nap = min(nap*5/4, 20*time.Second) {
		if !w.rest(nap) {
			return
		}
		w.mu.Lock()
		w.relieve()
		open, done := w.unfinished()
		late := time.Since(w.start) > w.faultPhase+calmLimit
		if late && !done {
			w.bad("I1", "not ended after %s of calm: %s", calmLimit, open)
		}
		w.mu.Unlock()
		if done || late {
			return
		}
	}
}

// rest lets time pass; false says that the seed has failed already.
func (w *World) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.failed:
		return false
	}
}

// act runs an actor from outside: a person, the chaos.
func (w *World) act(name string, f func(r *rng, until time.Time)) {
	r := w.root.child(name, 0)
	w.wg.Go(func() { f(&r, w.start.Add(w.faultPhase)) })
}

// nap lets an actor sleep, and says whether it may go on.
func (w *World) nap(d time.Duration, until time.Time) bool {
	if time.Now().Add(d).After(until) {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

func (w *World) finish() {
	w.mu.Lock()
	if len(w.result.Violations) == 0 {
		w.checkEnd()
	}
	w.over = true
	for _, s := range w.slots {
		if s.proc != nil {
			s.proc.kill()
		}
	}
	w.cancel()
	w.result.Virtual = time.Since(w.start)
	w.mu.Unlock()
	w.wg.Wait()
}
