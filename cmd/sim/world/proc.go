package world

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// dep is what a process depends on.
type dep string

const (
	pg    dep = "postgresql"
	redis dep = "redis"
	nats  dep = "nats"
	hub   dep = "forge"
	none  dep = ""
)

var (
	errDead = errors.New("sim: the process is dead")
	errDown = errors.New("sim: connection refused")
	errLost = errors.New("sim: the reply was lost")
	errFail = errors.New("sim: it failed and did nothing")
)

// slot is a place where a process runs, and is started again after it died.
type slot struct {
	w    *World
	kind string
	name string
	rng  rng
	proc *proc
}

// proc is one life of a process.
type proc struct {
	w    *World
	kind string
	name string
	rng  rng
	// take ends when the process shall stop; work when its grace is over, or it is dead.
	take, work             context.Context
	stopTaking, cancelWork context.CancelFunc
	dead                   bool
	ended                  chan struct{}
	paused                 time.Time
	cut                    map[dep]time.Time
}

func (w *World) launch(kind string, i int) {
	s := &slot{w: w, kind: kind, name: fmt.Sprintf("%s-%d", kind, i), rng: w.root.child(kind, uint64(i))}
	w.slots = append(w.slots, s)
	w.wg.Go(s.loop)
}

func (s *slot) loop() {
	for life := uint64(1); ; life++ {
		r := s.rng.child("life", life)
		wait := r.dur(0, time.Millisecond)
		if life > 1 {
			wait = r.dur(100*time.Millisecond, 5*time.Second)
		}
		time.Sleep(wait)
		s.w.mu.Lock()
		if s.w.over {
			s.w.mu.Unlock()
			return
		}
		p := &proc{w: s.w, kind: s.kind, name: fmt.Sprintf("%s.%d", s.name, life), rng: r, cut: map[dep]time.Time{}, ended: make(chan struct{})}
		p.take, p.stopTaking = context.WithCancel(context.Background())
		p.work, p.cancelWork = context.WithCancel(context.Background())
		s.proc = p
		s.w.tracef("%s starts", p.name)
		s.w.mu.Unlock()
		p.serve()
		<-p.ended
	}
}

// kill is kill -9. The caller holds the world.
func (p *proc) kill() {
	if p.dead {
		return
	}
	p.dead = true
	p.w.tracef("%s is dead", p.name)
	p.stopTaking()
	p.cancelWork()
	close(p.ended)
}

// terminate is SIGTERM: no more work is taken, and what is in hand has the grace to end.
func (p *proc) terminate(grace time.Duration, workers func()) {
	p.w.tracef("%s is asked to stop within %s", p.name, grace)
	p.stopTaking()
	p.w.wg.Go(func() {
		t := time.AfterFunc(grace, p.cancelWork)
		defer t.Stop()
		workers()
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		p.kill()
	})
}

func (p *proc) isDead() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.dead
}

// reaches says whether a dependency answers this process. The caller holds the world.
func (p *proc) reaches(d dep) bool {
	now := time.Now()
	return d == none || (!p.w.down[d].After(now) && !p.cut[d].After(now))
}

// task is one line of work in a process, with generators of its own. The heartbeat runs beside its task and draws
// from its own one.
type task struct {
	name string
	main rng
	beat rng
}

type taskKey struct{}

func (p *proc) with(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, taskKey{}, &task{name: name, main: p.rng.child(name, 1), beat: p.rng.child(name, 2)})
}

func taskOf(ctx context.Context) *task {
	t, ok := ctx.Value(taskKey{}).(*task)
	if !ok {
		panic("sim: a call without a task")
	}
	return t
}

// fault is what strikes a step.
type fault int

const (
	noFault fault = iota
	crashBefore
	crashAfter
	lostReply
	failed
	slow
)

var faultNames = []string{"", "crash before", "crash after", "reply lost", "failed", "slow"}

// op names a step. beat says that the heartbeat takes it; key tells apart steps that a task takes at once.
type op struct {
	dep  dep
	name string
	beat bool
	key  uint64
}

// step takes one step that others can see: some time passes, a fault may strike, the effect happens whole or not at
// all, and the reply comes or doesn't.
func (p *proc) step(ctx context.Context, o op, effect func() error) error {
	t := taskOf(ctx)
	r := &t.main
	if o.beat {
		r = &t.beat
	}
	if o.key != 0 {
		own := t.main.child(o.name, o.key)
		r = &own
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := p.fault(r)
	latency := r.dur(200*time.Microsecond, 3*time.Millisecond)
	if f == slow {
		latency = r.dur(0, p.w.ttl)
	} else if r.chance(0.02) {
		latency = r.dur(0, 300*time.Millisecond)
	}
	sleep(ctx, latency)
	p.waitPaused(r)
	err := p.effect(ctx, t, r, o, f, effect)
	if errors.Is(err, errDead) {
		return err
	}
	sleep(ctx, r.dur(100*time.Microsecond, time.Millisecond))
	p.waitPaused(r)
	if p.isDead() {
		return errDead
	}
	return err
}

func (p *proc) fault(r *rng) fault {
	x, kind := r.chance(p.w.rate), fault(1+r.n(len(faultNames)-1))
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if !x || p.w.calm || p.dead {
		return noFault
	}
	p.w.result.Faults++
	return kind
}

func (p *proc) effect(ctx context.Context, t *task, r *rng, o op, f fault, effect func() error) error {
	// A request that its sender has given up may arrive all the same, and the fence has to refuse it. The forge knows no
	// fence: there, what was not sent before a pause is not sent after it, as an HTTP client looks at its context first.
	lateApplied := r.chance(0.5) && o.dep != hub
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.dead {
		return errDead
	}
	p.w.result.Steps++
	say := func(what string, err error) {
		if p.w.Trace != nil {
			p.w.tracef("%s/%s %s %s: %v", p.name, t.name, o.name, what, err)
		}
	}
	late := ctx.Err()
	switch {
	case late != nil && !lateApplied:
		say("given up before it was sent", late)
		return late
	case !p.reaches(o.dep):
		say("not reached", errDown)
		return fmt.Errorf("%s: %s: %w", o.name, o.dep, errDown)
	case f == crashBefore:
		say(faultNames[f], nil)
		p.kill()
		return errDead
	case f == failed:
		say(faultNames[f], nil)
		return fmt.Errorf("%s: %w", o.name, errFail)
	}
	err := effect()
	say(faultNames[f], err)
	p.w.checkQuiet()
	switch {
	case f == crashAfter:
		p.kill()
		return errDead
	case f == lostReply:
		return fmt.Errorf("%s: %w", o.name, errLost)
	case late != nil:
		return late
	}
	return err
}

// sleep lets time pass, or less when the caller has given up.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		time.Sleep(d%time.Millisecond + 1) // a moment of its own
	}
}

// waitPaused is what SIGSTOP does to whoever is in this process.
func (p *proc) waitPaused(r *rng) {
	for {
		p.w.mu.Lock()
		wait := time.Until(p.paused)
		dead := p.dead
		p.w.mu.Unlock()
		if wait <= 0 || dead {
			return
		}
		time.Sleep(wait + r.dur(time.Microsecond, 3*time.Millisecond))
	}
}

// call takes a step that returns something.
func call[T any](ctx context.Context, p *proc, o op, f func() (T, error)) (T, error) {
	var out T
	err := p.step(ctx, o, func() error {
		var err error
		out, err = f()
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return out, nil
}
