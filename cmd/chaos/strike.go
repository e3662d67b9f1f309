package main

import (
	"context"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
)

// strikeWithin is how long a strike waits for its request.
const strikeWithin = 8 * time.Second

// strike waits for a request of a publisher that would change something on the forge.
type strike struct {
	after bool
	pass  int
	kill  func()
	hit   chan struct{}
}

var publishers = []string{"publisher-1", "publisher-2"}

// strikePublishers kills every publisher at one request, and starts them again.
func (s *system) strikePublishers(ctx context.Context, f chaos.Fault, forge *forgeFaults, rec *recovery) {
	var dead []*victim
	k := &strike{after: f.What == chaos.AfterEffect, pass: f.Times, hit: make(chan struct{}), kill: func() { dead = s.killPublishers() }}
	forge.arm(k)
	late := time.NewTimer(strikeWithin)
	defer late.Stop()
	select {
	case <-k.hit:
	case <-late.C:
	case <-ctx.Done():
	}
	if !forge.disarm(k) {
		s.timeline.note("no request came to be struck %s its effect", f.What)
		return
	}
	s.timeline.note("struck %s an effect", f.What)
	wait(ctx, f.For)
	for _, v := range dead {
		if err := v.Start(); err != nil {
			s.timeline.note("start %s: %v", v.name, err)
		}
		v.mu.Unlock()
		rec.readyAfter(ctx, v.name, s.addrs[v.name])
	}
}

// killPublishers leaves the dead ones locked: nothing else may be done to them before they run again.
func (s *system) killPublishers() (dead []*victim) {
	for _, name := range publishers {
		v := s.victims[name]
		if !v.mu.TryLock() {
			continue // something is being done to it
		}
		s.timeline.hurt(v.PID(), name, "killed")
		v.Kill()
		dead = append(dead, v)
	}
	now := time.Now()
	s.timeline.disturb(now, now)
	return dead
}

func (f *forgeFaults) arm(k *strike) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.strikes = append(f.strikes, k)
}

// disarm says whether the strike has hit; afterwards it can't any more.
func (f *forgeFaults) disarm(k *strike) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-k.hit:
		f.struck++
		return true
	default:
	}
	for i, other := range f.strikes {
		if other == k {
			f.strikes = append(f.strikes[:i:i], f.strikes[i+1:]...)
		}
	}
	return false
}

// due is the strike that hits this request, and nil for none. The caller holds mu.
func (f *forgeFaults) due() *strike {
	if len(f.strikes) == 0 {
		return nil
	}
	k := f.strikes[0]
	if k.pass--; k.pass >= 0 {
		return nil
	}
	f.strikes = f.strikes[1:]
	return k
}
