package world

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/memstream"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/services/runner"
	"github.com/sre-agent/sre-agent/services/throttle"
	"github.com/sre-agent/sre-agent/streams"
)

// serve builds the service from the doubles, as its Serve does from the real parts.
func (p *proc) serve() {
	w := p.w
	var workers sync.WaitGroup
	work := func(n int, stream string, handle func(context.Context, *streams.Message) streams.Outcome, ready ...dep) {
		for i := range n {
			ctx := p.with(p.work, fmt.Sprintf("%s#%d", strings.ToLower(stream), i))
			w.wg.Add(1)
			workers.Go(func() { defer w.wg.Done(); p.consume(ctx, w.jets[stream], handle, ready) })
		}
	}
	st := storeOf{p}
	switch p.kind {
	case "throttle":
		sched := throttle.NewScheduler(throttle.Scheduler{
			Store: st, Bell: bell{p}, Counters: w.Counters, Log: w.log, Limits: w.limits, Silence: w.ttl, Interval: w.interval,
		})
		intake := &throttle.Intake{
			Store: st, Rate: rateOf{p}, Events: bell{p}, Counters: w.Counters, Log: w.log, PerMinute: w.perMinute, AgentEmail: agentEmail, Wake: sched.Wake,
		}
		handle := poisoned(intake.Handle)
		w.mu.Lock()
		w.seen.wake[p] = sched.Wake
		w.mu.Unlock()
		w.wg.Go(func() { sched.Loop(p.with(p.take, "scheduler")) })
		w.wg.Go(func() {
			defer p.crashes()
			(&throttle.Reconciler{Stream: walker{p}, Store: st, Handle: handle, Log: w.log, Interval: 10 * time.Second}).Loop(p.with(p.take, "reconciler"))
		})
		work(1, streams.Advisories, p.move, nats)
		work(1+p.rng.child("workers", 0).pickN(2), streams.Deliveries, handle, nats, pg, redis)
	case "runner":
		s := &runner.Service{
			Store: st, Lock: lockOf{p}, Slots: slotsOf{p}, Bell: bell{p}, Pipeline: pipeline{p}, Counters: w.Counters, Log: w.log, Limits: w.limits,
			Holder: p.name, TTL: w.ttl,
		}
		work(1+p.rng.child("workers", 0).pickN(2), streams.Runs, s.Handle, nats, pg, redis)
	case "publisher":
		s := &publisher.Service{
			Store: st, Target: target(p), Git: gitOf{p}, Settings: gitOf{p}, Review: review{p}, Events: bell{p}, Counters: w.Counters, Log: w.log, Holder: p.name, TTL: w.ttl,
			Redact: func(s string) string { return s }, Caps: w.caps, Incidents: w.incidents,
		}
		work(1+p.rng.child("workers", 0).pickN(2), streams.Fixes, s.Handle, nats, pg)
	}
	w.mu.Lock()
	w.seen.drain[p] = workers.Wait
	w.mu.Unlock()
}

// poison is in a delivery whose handling panics every time.
const poison = "poison"

func poisoned(handle func(context.Context, *streams.Message) streams.Outcome) func(context.Context, *streams.Message) streams.Outcome {
	return func(ctx context.Context, m *streams.Message) streams.Outcome {
		if m.Header.Get(streams.HdrEvent) == poison {
			panic(seededPanic{})
		}
		return handle(ctx, m)
	}
}

// crashes turns a panic that nobody catches into the death of the process.
func (p *proc) crashes() {
	if v := recover(); v != nil {
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		p.w.tracef("%s panics", p.name)
		p.kill()
	}
}

func (r rng) pickN(n int) int { return r.n(n) }

// hand is a message in the hands of a worker.
type hand struct {
	p    *proc
	live bool
}

// alive says whether the heartbeat of a message in hand gets through. The caller holds the world.
func alive(owner any) bool {
	h, ok := owner.(*hand)
	return ok && h.live && !h.p.dead && !h.p.paused.After(time.Now()) && h.p.reaches(nats)
}

// consume is the loop of streams.Bus.Consume for one worker.
func (p *proc) consume(ctx context.Context, st *memstream.Stream, handle func(context.Context, *streams.Message) streams.Outcome, deps []dep) {
	pause := 100 * time.Millisecond
	for p.take.Err() == nil && !p.isDead() {
		h := &hand{p: p, live: true}
		var rung chan struct{}
		var at time.Time
		m, err := call(ctx, p, op{dep: nats, name: "next " + st.Name}, func() (*streams.Message, error) {
			rung = p.w.bells[st.Name]
			m := st.Next(h)
			at = st.NextAt()
			return m, nil
		})
		switch {
		case err != nil:
			p.drop(h)
			p.doze(ctx, pause)
			pause = min(2*pause, 2*time.Second)
		case m == nil:
			p.await(ctx, rung, at)
		default:
			pause = 100 * time.Millisecond
			if left := p.handle(ctx, st, m, h, handle); left {
				p.awaitReady(ctx, deps)
			}
		}
	}
}

func (p *proc) drop(h *hand) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	h.live = false
}

// doze sleeps for about d.
func (p *proc) doze(ctx context.Context, d time.Duration) {
	select {
	case <-p.take.Done():
	case <-time.After(d + taskOf(ctx).main.dur(0, d/4+1)):
	}
}

// await waits until the stream has something new, or something may come back.
func (p *proc) await(ctx context.Context, rung chan struct{}, at time.Time) {
	var timer <-chan time.Time
	if !at.IsZero() {
		t := time.NewTimer(max(0, time.Until(at)) + taskOf(ctx).main.dur(time.Microsecond, time.Millisecond))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-p.take.Done():
	case <-rung:
	case <-timer:
	}
}

func (p *proc) awaitReady(ctx context.Context, deps []dep) {
	for pause := 200 * time.Millisecond; p.take.Err() == nil; pause = min(2*pause, 5*time.Second) {
		p.w.mu.Lock()
		ready := true
		for _, d := range deps {
			ready = ready && p.reaches(d)
		}
		p.w.mu.Unlock()
		if ready {
			return
		}
		p.doze(ctx, pause)
	}
}

// seededPanic is a panic that the simulation itself throws.
type seededPanic struct{}

// handle runs the handler and settles the message, as streams does.
func (p *proc) handle(ctx context.Context, st *memstream.Stream, m *streams.Message, h *hand, handle func(context.Context, *streams.Message) streams.Outcome) (left bool) {
	p.w.mu.Lock()
	p.w.seen.busy[p]++
	p.w.mu.Unlock()
	o := p.guarded(ctx, m, handle)
	p.w.mu.Lock()
	p.w.seen.busy[p]--
	h.live = false // the heartbeat ends with the handler
	st.Progress(m.Sequence)
	p.w.mu.Unlock()
	what, _, _ := strings.Cut(o.String(), "(")
	var err error
	switch {
	case o.Left():
		err = errors.New(o.String())
	case what == "dead":
		err = p.step(ctx, op{dep: nats, name: "dead letter"}, func() error { p.w.seen.dead[m.ID] = o.String(); return nil })
		if err == nil {
			err = p.step(ctx, op{dep: nats, name: "term"}, func() error { st.Ack(m.Sequence); return nil })
		}
	default:
		err = p.step(context.WithoutCancel(ctx), op{dep: nats, name: "ack " + st.Name}, func() error { st.Ack(m.Sequence); return nil })
	}
	if err != nil {
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		st.Leave(m.Sequence, m.Deliveries)
		p.w.ring(st.Name) // whoever waits has to look at the new deadline
	}
	return err != nil
}

func (p *proc) guarded(ctx context.Context, m *streams.Message, handle func(context.Context, *streams.Message) streams.Outcome) (o streams.Outcome) {
	defer func() {
		if v := recover(); v != nil {
			if _, ours := v.(seededPanic); !ours {
				p.w.mu.Lock()
				defer p.w.mu.Unlock()
				p.w.bad("panic", "%s: %v", p.name, v)
			}
			o = streams.Leave(fmt.Errorf("panic: %v", v))
		}
	}()
	return handle(ctx, m)
}

// move is the mover: what the server gave up becomes a record and a dead letter.
func (p *proc) move(ctx context.Context, m *streams.Message) streams.Outcome {
	st, seq := p.w.jets[m.Subject], uint64(m.RunID)
	gone, err := call(ctx, p, op{dep: nats, name: "get exhausted"}, func() (*streams.Message, error) { return st.Get(seq), nil })
	if err != nil || gone == nil {
		return leaveOrDone(err)
	}
	if m.Subject == streams.Deliveries && gone.Type == streams.TypeDelivery {
		sum := sha256.Sum256(gone.Body)
		d := store.Delivery{
			Provider: gone.Header.Get(streams.HdrProvider), ID: gone.Header.Get(streams.HdrDeliveryID), Event: gone.Header.Get(streams.HdrEvent),
			BodySHA256: hex.EncodeToString(sum[:]), ReceivedAt: gone.Time,
		}
		if _, err := (storeOf{p}).RecordEnd(ctx, d, store.OutcomeDead, streams.ReasonMaxDeliveries); err != nil {
			return streams.Leave(err)
		}
	}
	err = p.step(ctx, op{dep: nats, name: "move"}, func() error {
		p.w.seen.dead[gone.ID] = streams.ReasonMaxDeliveries
		if m.Subject != streams.Deliveries {
			st.Delete(seq)
		}
		return nil
	})
	return leaveOrDone(err)
}

func leaveOrDone(err error) streams.Outcome {
	if err != nil {
		return streams.Leave(err)
	}
	return streams.Done()
}

// pipeline is the fix pipeline: it takes time, acts on code, and ends as the seed says.
type pipeline struct{ p *proc }

// Execute is runner.Pipeline's.
func (l pipeline) Execute(ctx context.Context, r store.Run) runner.Result {
	p, w := l.p, l.p.w
	off, err := (storeOf{p}).SwitchedOff(ctx, r.ID)
	if err != nil {
		return runner.Result{Err: err}
	}
	if off != nil {
		return runner.Result{State: run.Blocked, Reason: store.ReasonRepositoryOff, Explanation: "the repository was switched off"}
	}
	own := w.root.child(r.RunKey, uint64(r.Fence)<<8+uint64(r.Generation))
	acts := own.in(1, 4)
	kind := own.n(20)
	longest := 3 * time.Second
	if kind == 0 {
		acts, longest = 1, 4*w.ttl // hangs
	}
	for range acts {
		sleep(ctx, own.dur(0, longest))
		p.waitPaused(&own)
		if ctx.Err() != nil {
			return runner.Result{Err: context.Cause(ctx)}
		}
		w.mu.Lock()
		dead := p.dead
		if !dead {
			w.acted(p, r)
		}
		w.mu.Unlock()
		if dead {
			return runner.Result{Err: errDead}
		}
	}
	return l.result(kind, &own, r)
}

func (l pipeline) result(kind int, own *rng, r store.Run) runner.Result {
	fp := l.p.w.fingerprint(r)
	switch {
	case kind <= 2:
		return runner.Result{State: run.Declined, Reason: "no_fixer", Explanation: "no fixer knows it", Fingerprint: fp}
	case kind == 3:
		return runner.Result{State: run.Blocked, Reason: "policy", Explanation: "not allowed", Fingerprint: fp}
	case kind <= 6:
		return runner.Result{Err: errors.New("the model is busy"), RetryAfter: own.dur(0, 8*time.Second)}
	case kind == 7:
		panic(seededPanic{})
	}
	return l.p.w.verified(r, fp)
}
