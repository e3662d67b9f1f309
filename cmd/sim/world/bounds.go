package world

import (
	"errors"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/publisher"
)

// settled is when the last fault is over and every process runs again: a slot starts one within 5 seconds, and a slow
// request takes a lease's length.
func (w *World) settled() time.Time {
	last := w.calmAt
	later := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	for _, until := range w.down {
		later(until)
	}
	for _, s := range w.slots {
		if s.proc == nil || s.proc.dead {
			continue
		}
		later(s.proc.paused)
		for _, until := range s.proc.cut {
			later(until)
		}
	}
	return last.Add(6*time.Second + w.ttl)
}

// checkQuiet checks I12 after each step: a run that is due, of a repository with a free slot, is rung within one
// interval of the scheduler, whatever the other repositories do.
func (w *World) checkQuiet() {
	now := time.Now()
	if !w.calm || w.over || now.Before(w.settled()) {
		return
	}
	ids := w.store.Startable(w.limits.PerRepository)
	if len(ids) == 0 && len(w.seen.startable) == 0 {
		return
	}
	since := make(map[int64]time.Time, len(ids))
	for _, id := range ids {
		first, known := w.seen.startable[id]
		if !known {
			first = now
		}
		since[id] = first
		if bound := w.interval + time.Second; now.Sub(first) > bound {
			w.bad("I12", "run %d could have started %s ago; the bound is %s", id, now.Sub(first), bound)
			since[id] = now
		}
	}
	w.seen.startable = since
}

var errLimit = errors.New("sim: secondary rate limit")

// limited is the forge's word on how long to wait.
type limited struct{ wait time.Duration }

func (limited) Error() string               { return errLimit.Error() }
func (l limited) RetryAfter() time.Duration { return l.wait }

// creating is asked before each creation of a pull request: now and then the forge reports a limit. Once the publisher
// has given the publication back, nobody may ask again until the limit is over (I8); what a process that died was told
// died with it.
func (w *World) creating(branch string) error {
	if until, ok := w.seen.limited[branch]; ok && time.Now().Before(until) {
		w.bad("I8", "a pull request of %s was asked for %s before the forge's limit was over", branch, time.Until(until))
	}
	r := w.root.child("limit "+branch, uint64(time.Since(w.start)))
	if w.calm || !r.chance(0.1) {
		return nil
	}
	wait := r.dur(time.Second, time.Minute).Truncate(time.Second)
	w.tracef("the forge's limit: no pull request of %s for %s", branch, wait)
	w.result.Faults++
	return limited{wait}
}

// tell notes that a publisher has heard of a limit: the answer was not lost.
func (w *World) tell(p *proc, branch string, err error) error {
	var l limited
	if !errors.As(err, &l) {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.told[branch] = limit{p, time.Now().Add(l.wait)}
	if w.Off[guard.ForgeLimit] {
		return errLimit
	}
	return err
}

// limit is what one process was told, and nobody else.
type limit struct {
	p     *proc
	until time.Time
}

// heard notes that a publication was given back: what the forge told its publisher is known to all.
func (w *World) heard(p *proc, id int64) {
	row, err := w.store.Run(w.ctx, id)
	if err != nil {
		return
	}
	branch := publisher.Branch(row.Failure, int(row.Generation))
	if l, ok := w.seen.told[branch]; ok && l.p == p {
		w.seen.limited[branch] = l.until
		delete(w.seen.told, branch)
	}
}

// forgetLimit: whoever claims a publication that was not given back knows nothing of what its holder was told.
func (w *World) forgetLimit(r store.Run) {
	delete(w.seen.told, publisher.Branch(r.Failure, int(r.Generation)))
}
