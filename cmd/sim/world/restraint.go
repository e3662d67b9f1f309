package world

import (
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/memforge"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// restrain draws the caps, low enough to be reached, and for how long a pull request stands for its incident.
func (w *World) restrain(r *rng) {
	if r.chance(0.4) {
		w.caps.Open = r.in(1, 3)
	}
	if r.chance(0.2) {
		w.caps.PerHour = r.in(2, 4)
	}
	if r.chance(0.5) {
		w.incidents = r.dur(20*time.Second, 2*time.Hour)
	}
}

// checkOpen checks what a repository's people are asked to look at, as the forge shows it: what a person opened again is
// their own wish.
func (w *World) checkOpen(pr forge.PullRequest) {
	for _, r := range w.forge.Repos() {
		open, here := 0, false
		for _, other := range r.Pulls {
			here = here || other.URL == pr.URL
			if other.Ours && other.State == forge.Open && !other.Reopened {
				open++
			}
		}
		if here && w.caps.Open > 0 && open > w.caps.Open {
			w.bad("I8", "%s is open pull request %d of its repository; the cap is %d", pr.URL, open, w.caps.Open)
		}
	}
}

// checkHour checks how many pull requests of a repository were begun within an hour: those that were refused are none.
func (w *World) checkHour(p db.Publication) {
	if w.caps.PerHour == 0 {
		return
	}
	n := 0
	for _, other := range w.store.Dump().Publications {
		if other.RepositoryID == p.RepositoryID && other.State != store.PubRefused && time.Since(w.seen.begun[other.Branch]) < time.Hour-slack {
			n++
		}
	}
	if n > w.caps.PerHour {
		w.bad("I8", "the intent of run %d is number %d of repository %d within an hour; the cap is %d", p.RunID, n, p.RepositoryID, w.caps.PerHour)
	}
}

// checkIncident checks that no pull request of the same incident, elsewhere, is open or on its way when one is begun.
func (w *World) checkIncident(p db.Publication) {
	if p.Incident == "" {
		return
	}
	for _, other := range w.store.Dump().Publications {
		standing := other.State != store.PubRefused && other.PrState == store.PRNone
		for _, pr := range w.pulls(other.Branch) {
			standing = standing || pr.Ours && pr.State == forge.Open && !pr.Reopened
		}
		same := other.Incident == p.Incident && other.RunID != p.RunID && (p.Fingerprint == "" || other.Fingerprint != p.Fingerprint)
		if same && standing && time.Since(w.seen.begun[other.Branch]) < w.incidents-slack {
			w.bad("I8", "a pull request of run %d was begun, though that of run %d stands for the same incident", p.RunID, other.RunID)
		}
	}
}

// pulls are the pull requests of a branch.
func (w *World) pulls(branch string) (out []*memforge.PullRequest) {
	for _, r := range w.forge.Repos() {
		for _, pr := range r.Pulls {
			if pr.HeadRef == branch {
				out = append(out, pr)
			}
		}
	}
	return out
}

// putOff counts how often a fix was put off, so that a reader sees that the caps are reached.
func (w *World) putOff(g store.GiveBack) {
	if g.Reason == run.WaitPRCap {
		w.result.Ends["put off (pr_cap)"]++
	}
}

// relieve is people who, once it is calm, now and then close or merge a pull request of a repository in which a fix waits
// for that.
func (w *World) relieve() {
	if w.caps.Open == 0 {
		return
	}
	for _, id := range w.store.PutOff() {
		row, err := w.store.Run(w.ctx, id)
		if err != nil {
			continue
		}
		r := w.root.child("relieve", uint64(time.Since(w.start)))
		if repo := w.forge.Repos()[row.Failure.Repository.FullName()]; repo != nil && r.chance(0.1) {
			w.endOne(&r, repo)
		}
	}
}

func (w *World) endOne(r *rng, repo *memforge.Repo) {
	var open []*memforge.PullRequest
	for _, pr := range repo.Pulls {
		if pr.Ours && pr.State == forge.Open {
			open = append(open, pr)
		}
	}
	if len(open) == 0 {
		return
	}
	pr := pick(r, open)
	if r.chance(0.3) {
		w.tracef("person merges %s at last", pr.URL)
		w.forge.Merge(repo, pr)
		return
	}
	w.tracef("person closes %s at last", pr.URL)
	w.forge.Close(pr)
}
