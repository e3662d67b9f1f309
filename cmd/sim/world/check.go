package world

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/memforge"
	"github.com/sre-agent/sre-agent/cmd/sim/memstore"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// books are what the world has seen with its own eyes. The checks compare them with what the doubles say.
type books struct {
	attempts  map[int64][]*attempt
	fences    map[int64]int64
	locks     map[string]belief
	slots     map[string]map[string]time.Time
	intents   map[string]db.Publication // by branch
	verified  map[string]string         // digest by run and generation
	opened    map[string]int            // pull requests by run and generation
	lifted    map[string]bool           // pull requests whose refusal was lifted
	accepted  map[string]*accepted
	dead      map[string]string
	wake      map[*proc]func()
	drain     map[*proc]func()
	cancels   map[int64]cancelled
	busy      map[*proc]int
	delivered []string
	startable map[int64]time.Time
	paused    map[int64]bool       // repositories that are paused
	shut      map[int64]time.Time  // since when a repository wants no pull request
	off       map[int64]time.Time  // since when a repository is switched off
	taken     map[int64]time.Time  // when a run was last taken up for publishing
	begun     map[string]time.Time // when a branch was first intended
	told      map[string]limit     // what the forge told the publisher of a branch
	limited   map[string]time.Time // the same, once the publisher has written it down
}

// cancelled is a person's cancel of a run that somebody worked on.
type cancelled struct {
	fence  int64
	claims int
	at     time.Time
}

type attempt struct {
	generation int32
	start, end time.Time
	givenBack  bool
}

type belief struct {
	token string
	until time.Time
}

// accepted is a delivery that was answered 2xx.
type accepted struct {
	seq uint64
	// lost says that the stream itself lost it before it was recorded.
	lost bool
}

func newBooks() books {
	return books{
		attempts: map[int64][]*attempt{}, fences: map[int64]int64{}, locks: map[string]belief{}, slots: map[string]map[string]time.Time{},
		intents: map[string]db.Publication{}, verified: map[string]string{}, opened: map[string]int{}, lifted: map[string]bool{},
		accepted: map[string]*accepted{}, dead: map[string]string{}, wake: map[*proc]func(){}, drain: map[*proc]func(){}, cancels: map[int64]cancelled{}, busy: map[*proc]int{},
		startable: map[int64]time.Time{}, paused: map[int64]bool{}, shut: map[int64]time.Time{}, off: map[int64]time.Time{}, taken: map[int64]time.Time{}, begun: map[string]time.Time{}, told: map[string]limit{}, limited: map[string]time.Time{},
	}
}

func genKey(id int64, generation int32) string { return fmt.Sprintf("%d/%d", id, generation) }

// wrote checks a write that was accepted: no lower fence than the highest issued (I4).
func (w *World) wrote(what string, before db.Run, fence int64) {
	if fence != before.Fence {
		w.bad("I4", "%s of run %d was accepted with fence %d; the highest issued is %d", what, before.ID, fence, before.Fence)
	}
	if before.Fence < w.seen.fences[before.ID] {
		w.bad("I4", "the fence of run %d went back from %d to %d", before.ID, w.seen.fences[before.ID], before.Fence)
	}
	w.seen.fences[before.ID] = before.Fence
}

// claimed checks a claim that was accepted: I3, I4, I5 and I6.
func (w *World) claimed(before db.Run, r store.Run, fence int64) {
	w.wrote("claim", before, fence)
	w.checkPaused("claimed", r)
	row, running := w.store.Peek(r.ID)
	if running > w.limits.PerRepository {
		w.bad("I6", "%d runs of repository %d are active after the claim of run %d; the limit is %d", running, r.RepositoryID, r.ID, w.limits.PerRepository)
	}
	if w.seen.verified[genKey(r.ID, r.Generation)] != "" {
		w.bad("I3", "run %d was worked on again, though it has its verified fix", r.ID)
	}
	made := 0
	var last *attempt
	for _, a := range w.seen.attempts[r.ID] {
		if a.generation == r.Generation && !a.givenBack {
			made++
			last = a
		}
	}
	now := *row.AttemptStartedAt
	if made+1 > w.limits.MaxAttempts {
		w.bad("I3", "attempt %d of run %d began; the cap is %d", made+1, r.ID, w.limits.MaxAttempts)
	}
	if last != nil {
		w.checkRest(r.ID, made, last, now)
	}
	w.seen.attempts[r.ID] = append(w.seen.attempts[r.ID], &attempt{generation: r.Generation, start: now})
}

// slack allows for the database's clock, which counts microseconds.
const slack = 2 * time.Microsecond

func (w *World) checkRest(id int64, n int, last *attempt, now time.Time) {
	if last.end.IsZero() {
		w.bad("I4", "run %d was claimed before its last attempt had ended", id)
		return
	}
	if rest := now.Sub(last.end); rest+slack < w.limits.Backoff(n) {
		w.bad("I5", "run %d rested %s after attempt %d; its backoff is %s", id, rest, n, w.limits.Backoff(n))
	}
	if rest := now.Sub(last.start); rest+slack < w.limits.Cooldown {
		w.bad("I5", "run %d began again %s after attempt %d began; the cooldown is %s", id, rest, n, w.limits.Cooldown)
	}
}

func (w *World) attemptEnded(id int64, givenBack bool) {
	all := w.seen.attempts[id]
	if len(all) == 0 || !all[len(all)-1].end.IsZero() {
		return
	}
	last := all[len(all)-1]
	last.end, last.givenBack = time.Now(), givenBack
}

// acted checks that whoever acts on code is the holder that the row names (I4).
func (w *World) acted(p *proc, r store.Run) {
	row, _ := w.store.Peek(r.ID)
	// A person's cancel is heard at the next heartbeat; until somebody else has claimed, nobody shares the run.
	if c, ok := w.seen.cancels[r.ID]; ok && c.fence == r.Fence && c.claims == len(w.seen.attempts[r.ID]) && time.Since(c.at) < w.ttl {
		return
	}
	if since, off := w.seen.off[r.RepositoryID]; off && r.AttemptStartedAt.After(since) {
		w.bad("I8", "%s acted on run %d, and its repository had been switched off for %s when it began", p.name, r.ID, r.AttemptStartedAt.Sub(since))
	}
	if row.Fence != r.Fence || run.State(row.State) != run.Running {
		w.bad("I4", "%s acted on run %d with fence %d, believing that it holds it; the row is %s with fence %d", p.name, r.ID, r.Fence, row.State, row.Fence)
	}
}

func (w *World) redisNow() time.Time { return time.Now().Add(w.skew) }

// lockTaken checks that nobody else may still believe to hold a lock.
func (w *World) lockTaken(key, token string, ttl time.Duration) {
	if b, ok := w.seen.locks[key]; ok && b.token != token && b.until.After(w.redisNow()) {
		w.bad("I4", "the lock %s was given to a second holder while the first one had it", key)
	}
	w.seen.locks[key] = belief{token, w.redisNow().Add(ttl - 2*time.Millisecond)}
}

// lockLeft checks that a release takes the lock from nobody else.
func (w *World) lockLeft(key, token, before, after string) {
	if w.seen.locks[key].token == token {
		delete(w.seen.locks, key)
	}
	if before != "" && before != token && after != before {
		w.bad("I4", "the lock %s was released by somebody who did not hold it", key)
	}
}

func (w *World) slotTaken(repo, holder string, limit int, ttl time.Duration) {
	set := w.seen.slots[repo]
	if set == nil {
		set = map[string]time.Time{}
		w.seen.slots[repo] = set
	}
	set[holder] = w.redisNow().Add(ttl - 2*time.Millisecond)
	live := 0
	for _, until := range set {
		if until.After(w.redisNow()) {
			live++
		}
	}
	if live > limit {
		w.bad("I6", "%d slots of repository %s are taken; the limit is %d", live, repo, limit)
	}
}

func (w *World) forgetBeliefs() {
	clear(w.seen.locks)
	clear(w.seen.slots)
}

func (w *World) intended(p db.Publication) {
	w.seen.intents[p.Branch] = p
	if _, known := w.seen.begun[p.Branch]; !known {
		w.seen.begun[p.Branch] = time.Now()
		w.checkShut(p)
		w.checkHour(p)
		w.checkIncident(p)
	}
}

func (w *World) saved(id int64, f store.Fix) {
	row, _ := w.store.Peek(id)
	w.seen.verified[genKey(id, row.Generation)] = patch.Digest(f.Diff)
}

// pushed checks that what went to the forge is what was verified (I11).
func (w *World) pushed(branch, commit string) {
	p, ok := w.seen.intents[branch]
	if !ok {
		w.bad("I2", "%s was pushed without an intent", branch)
		return
	}
	c, built := w.forge.Built(commit)
	if want := w.seen.verified[genKey(p.RunID, p.Generation)]; !built || patch.Digest(c.Diff) != want {
		w.bad("I11", "what was pushed to %s is not what was verified for run %d", branch, p.RunID)
	}
	if commit != p.CommitID {
		w.bad("I2", "%.8s was pushed to %s; the intent says %.8s", commit, branch, p.CommitID)
	}
}

// pullRequestOpened checks a pull request of ours: I2.
func (w *World) pullRequestOpened(branch string, pr forge.PullRequest) {
	p, ok := w.seen.intents[branch]
	if !ok {
		w.bad("I2", "%s was opened without an intent", pr.URL)
		return
	}
	key := genKey(p.RunID, p.Generation)
	if w.seen.opened[key]++; w.seen.opened[key] > 1 {
		w.bad("I2", "%s is pull request %d of run %d in generation %d", pr.URL, w.seen.opened[key], p.RunID, p.Generation)
	}
	w.checkOpen(pr)
	if p.Fingerprint == "" {
		return
	}
	open := []string{}
	for _, r := range w.forge.Repos() {
		for _, other := range r.Pulls {
			if o, ok := w.seen.intents[other.HeadRef]; !ok || !other.Ours || o.Fingerprint != p.Fingerprint {
				continue
			}
			switch {
			case other.State == forge.Open && !other.Reopened:
				open = append(open, other.URL)
			case other.State == forge.Closed && !other.Merged && !w.seen.lifted[other.URL] && !merged(r, other.HeadRef):
				w.bad("I2", "%s was opened, though a person had closed %s for the same trouble", pr.URL, other.URL)
			}
		}
	}
	if len(open) > 1 {
		sort.Strings(open)
		w.bad("I2", "%s are open for one fingerprint", strings.Join(open, " and "))
	}
}

// merged says whether a person took in what a branch holds, by whichever pull request.
func merged(r *memforge.Repo, branch string) bool {
	for _, p := range r.Pulls {
		if p.HeadRef == branch && p.Merged {
			return true
		}
	}
	return false
}

// unfinished says what is still going on.
func (w *World) unfinished() (what string, done bool) {
	d := w.store.Dump()
	var open []string
	for _, r := range d.Runs {
		if !run.State(r.State).Ended() {
			open = append(open, fmt.Sprintf("run %d is %s(%s)", r.ID, r.State, r.Reason))
		}
	}
	recorded := map[string]bool{}
	for _, x := range d.Deliveries {
		recorded[x.DeliveryID] = true
	}
	for _, id := range w.seen.delivered {
		if a := w.seen.accepted[id]; a != nil && !a.lost && !recorded[id] && w.seen.dead["github-"+id] == "" {
			open = append(open, "delivery "+id+" has no record")
		}
	}
	return strings.Join(open, ", "), len(open) == 0
}

// checkEnd checks what must hold once everything has ended.
func (w *World) checkEnd() {
	d := w.store.Dump()
	w.checkDeliveries(d.Deliveries)
	attempts := map[int64][]db.Attempt{}
	for _, a := range d.Attempts {
		attempts[a.RunID] = append(attempts[a.RunID], a)
	}
	firsts := map[int64]int{}
	for _, x := range d.Deliveries {
		if x.Outcome == store.OutcomeRun {
			firsts[*x.RunID]++
		}
	}
	keys := map[string]int64{}
	for _, r := range d.Runs {
		w.result.Runs++
		w.result.Ends[r.State+"("+r.Reason+")"]++
		if other, ok := keys[r.RunKey]; ok {
			w.bad("I1", "runs %d and %d have one run key", other, r.ID)
		}
		keys[r.RunKey] = r.ID
		if firsts[r.ID] != 1 {
			w.bad("I1", "run %d was made by %d deliveries", r.ID, firsts[r.ID])
		}
		w.checkRun(r, attempts[r.ID])
	}
	w.checkReceipts(d)
}

func (w *World) checkRun(r db.Run, attempts []db.Attempt) {
	if !run.State(r.State).Ended() || (r.Reason == "" && run.State(r.State) != run.Published) {
		w.bad("I1", "run %d ended as %s(%s)", r.ID, r.State, r.Reason)
	}
	counted, forgiven := 0, 0
	for _, a := range attempts {
		if a.EndedAt == nil {
			w.bad("I1", "an attempt of run %d never ended", r.ID)
		}
		if a.Number != nil {
			counted++
			if *a.Number <= r.AttemptsForgiven {
				forgiven++
			}
		}
	}
	if counted != int(r.AttemptCount) {
		w.bad("I3", "run %d says %d attempts, and %d are recorded", r.ID, r.AttemptCount, counted)
	}
	if counted-forgiven > w.limits.MaxAttempts {
		w.bad("I3", "run %d had %d attempts; the cap is %d", r.ID, counted-forgiven, w.limits.MaxAttempts)
	}
	mine := 0
	for _, a := range w.seen.attempts[r.ID] {
		if !a.givenBack {
			mine++
		}
	}
	if mine != counted {
		w.bad("I3", "run %d records %d attempts; %d were seen", r.ID, counted, mine)
	}
}

func (w *World) checkDeliveries(rows []db.Delivery) {
	records := map[string]int{}
	for _, x := range rows {
		records[x.DeliveryID]++
		w.result.Ends["delivery "+x.Outcome+"("+x.Reason+")"]++
		if x.Outcome != store.OutcomeRun && x.Outcome != store.OutcomeCoalesced && x.Reason == "" {
			w.bad("I1", "delivery %s is %s without a reason", x.DeliveryID, x.Outcome)
		}
	}
	for _, id := range w.seen.delivered {
		a := w.seen.accepted[id]
		if n := records[id]; n > 1 || (n == 0 && a != nil && !a.lost && w.seen.dead["github-"+id] == "") {
			w.bad("I1", "delivery %s has %d records", id, n)
		}
	}
}

// checkReceipts compares what is recorded of pull requests with the forge.
func (w *World) checkReceipts(d memstore.Dump) {
	known := map[string]bool{}
	for _, p := range d.Publications {
		if p.PrUrl == nil {
			continue
		}
		w.result.Published++
		known[*p.PrUrl] = true
	}
	there := map[string]bool{}
	for _, r := range w.forge.Repos() {
		for _, pr := range r.Pulls {
			there[pr.URL] = true
		}
	}
	for url := range known {
		if !there[url] {
			w.bad("I2", "the receipt names %s, which the forge does not have", url)
		}
	}
}
