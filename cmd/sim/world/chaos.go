package world

import (
	"time"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// chaos does to the installation what the world does to it.
func (w *World) chaos(r *rng, until time.Time) {
	for w.nap(r.dur(w.chaosEvery/4, w.chaosEvery*7/4), until) {
		w.mu.Lock()
		w.strike(r, until)
		w.mu.Unlock()
	}
}

var jets = []string{streams.Deliveries, streams.Runs, streams.Fixes, streams.Advisories}

func (w *World) strike(r *rng, until time.Time) {
	if w.over {
		return
	}
	w.result.Faults++
	now := time.Now()
	length := min(r.dur(0, 3*w.ttl), until.Sub(now))
	p := w.victim(r)
	if p != nil && p.dead {
		p = nil
	}
	switch k := r.n(24); {
	case k < 4 && p != nil:
		p.kill()
	case k < 8 && p != nil:
		if r.chance(0.4) {
			length = r.dur(w.ttl, 10*w.ttl) // long enough for others to take over
		}
		w.tracef("chaos: %s is paused for %s", p.name, length)
		if until := now.Add(length); until.After(p.paused) { // a pause within a longer one ends nothing
			p.paused = until
		}
	case k < 10 && p != nil && w.seen.drain[p] != nil:
		p.terminate(r.dur(0, w.ttl), w.seen.drain[p])
	case k < 13:
		d := pick(r, []dep{pg, redis, nats, hub})
		w.tracef("chaos: %s is down for %s", d, length)
		w.down[d] = now.Add(length)
		if d == pg && r.chance(0.5) {
			w.store.Restart(w.down[d])
		}
	case k < 15 && p != nil:
		d := pick(r, []dep{pg, redis, nats, hub})
		w.tracef("chaos: %s is cut off from %s for %s", p.name, d, length)
		p.cut[d] = now.Add(length)
	case k == 15:
		w.tracef("chaos: Redis is wiped")
		w.redis.Wipe()
		w.forgetBeliefs()
	case k == 16:
		w.skew += r.dur(-time.Hour, time.Hour)
		w.tracef("chaos: the clock of Redis jumps to %s", w.skew)
		w.forgetBeliefs()
	case k == 17:
		w.lose(r)
	case k == 18:
		name := pick(r, jets)
		w.tracef("chaos: %s loses its consumer's state", name)
		w.jets[name].Recount()
		w.ring(name)
	case k == 19:
		for _, name := range jets {
			w.snaps[name] = w.jets[name].Snapshot()
		}
		w.tracef("chaos: a snapshot of the streams")
	case k == 20 && w.snaps[streams.Deliveries] != nil:
		w.restore()
	case k == 21:
		w.wipe(r)
	}
}

// victim is a process, more likely one that is in the middle of something.
func (w *World) victim(r *rng) *proc {
	var busy []*proc
	for _, s := range w.slots {
		if s.proc != nil && !s.proc.dead && w.seen.busy[s.proc] > 0 {
			busy = append(busy, s.proc)
		}
	}
	if len(busy) > 0 && r.chance(0.7) {
		return pick(r, busy)
	}
	return pick(r, w.slots).proc
}

// lose removes a doorbell as if it had never been rung.
func (w *World) lose(r *rng) {
	name := pick(r, []string{streams.Runs, streams.Fixes})
	if seqs := w.jets[name].Sequences(); len(seqs) > 0 {
		seq := pick(r, seqs)
		w.tracef("chaos: message %d of %s is lost", seq, name)
		w.jets[name].Lose(seq)
	}
}

func (w *World) restore() {
	w.tracef("chaos: the streams are restored from the snapshot")
	for _, name := range jets {
		w.jets[name].Restore(w.snaps[name])
		w.ring(name)
	}
	w.exempt()
}

// wipe loses the doorbells, and now and then every stream.
func (w *World) wipe(r *rng) {
	names := []string{streams.Runs, streams.Fixes}
	if r.chance(0.3) {
		names = jets
	}
	w.tracef("chaos: wiped: %v", names)
	for _, name := range names {
		w.jets[name].Wipe()
		w.ring(name)
	}
	if len(names) == len(jets) {
		w.exempt()
	}
}

// exempt notes the deliveries that the stream itself has lost before anybody recorded them.
func (w *World) exempt() {
	safe := map[string]bool{}
	for _, d := range w.store.Dump().Deliveries {
		safe[d.DeliveryID] = d.Outcome != store.OutcomeDead
	}
	st := w.jets[streams.Deliveries]
	for _, seq := range st.Sequences() {
		safe[st.Get(seq).Header.Get(streams.HdrDeliveryID)] = true
	}
	for id, a := range w.seen.accepted {
		a.lost = a.lost || !safe[id]
	}
}
