package world

import (
	"context"
	"time"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

var theOwner = store.Actor{Who: "owner", Why: "because"}

// own is what the owners of repositories set, in the middle of things; and what they take back once it is calm.
func (w *World) own(r *rng, until time.Time) {
	if r.chance(0.5) {
		return // these owners have nothing to say
	}
	for w.nap(r.dur(time.Second, 20*time.Second), until) {
		w.mu.Lock()
		for _, id := range w.store.Repositories() {
			switch r.n(4) {
			case 0, 1:
				w.pause(id, !w.seen.paused[id])
			case 2:
				w.narrow(id, pick(r, []string{"", "", "shadow", "pr"}))
			case 3:
				if _, off := w.seen.off[id]; off || r.chance(0.2) {
					w.switchTo(id, off)
				}
			}
		}
		w.mu.Unlock()
	}
	const late = 2 * time.Minute
	if !w.nap(time.Until(until)+r.dur(0, late), until.Add(2*late)) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.store.Repositories() {
		w.pause(id, false)
	}
}

// switchTo switches a repository on or off. What was left off when it becomes calm stays so.
func (w *World) switchTo(id int64, on bool) {
	changed, err := w.store.Switch(context.Background(), id, on, theOwner)
	w.tracef("owner: repository %d is switched on %t: %t, %v", id, on, changed, err)
	switch {
	case err != nil || !changed:
	case on:
		delete(w.seen.off, id)
	default:
		w.seen.off[id] = time.Now()
		w.result.Ends["repository.off"]++
	}
}

// checkOn checks that no run is made for a repository that is switched off.
func (w *World) checkOn(id int64) {
	row, err := w.store.Run(w.ctx, id)
	if since, off := w.seen.off[row.RepositoryID]; err == nil && off {
		w.bad("I1", "run %d was made for a repository that has been switched off for %s", id, time.Since(since))
	}
}

// narrow sets a repository's mode.
func (w *World) narrow(id int64, mode string) {
	_, _, err := w.store.ChangeRepository(context.Background(), id, store.OpMode, theOwner, func(s *store.RepositorySettings) { s.Mode = mode })
	w.tracef("owner: mode of repository %d is %q: %v", id, mode, err)
	switch {
	case err != nil:
	case mode != "shadow":
		delete(w.seen.shut, id)
	case w.seen.shut[id].IsZero():
		w.seen.shut[id] = time.Now()
	}
}

// checkShut checks that what is taken up for publishing after its repository wanted no pull requests any more, or was
// switched off, gets none.
func (w *World) checkShut(p db.Publication) {
	for _, since := range []time.Time{w.seen.shut[p.RepositoryID], w.seen.off[p.RepositoryID]} {
		if !since.IsZero() && w.seen.taken[p.RunID].After(since) {
			w.bad("I8", "a pull request of run %d was begun; its repository has wanted none for %s", p.RunID, time.Since(since))
		}
	}
}

func (w *World) pause(id int64, paused bool) {
	if w.seen.paused[id] == paused {
		return
	}
	operation, at := store.OpResume, (*time.Time)(nil)
	if paused {
		now := time.Now()
		operation, at = store.OpPause, &now
	}
	_, _, err := w.store.ChangeRepository(context.Background(), id, operation, theOwner, func(s *store.RepositorySettings) { s.PausedAt = at })
	w.tracef("owner: %s of repository %d: %v", operation, id, err)
	if err == nil {
		w.seen.paused[id] = paused
		w.result.Ends[operation]++
	}
}

// checkPaused checks that a repository that is paused starts nothing and has nothing published.
func (w *World) checkPaused(what string, runs ...store.Run) {
	for _, r := range runs {
		if w.seen.paused[r.RepositoryID] {
			w.bad("I8", "run %d was %s while its repository is paused", r.ID, what)
		}
	}
}
