package world

import (
	"context"
	"fmt"
	"sort"
	"time"

	gonats "github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/cmd/sim/memforge"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/services/runner"
	"github.com/sre-agent/sre-agent/streams"
)

const (
	owner      = "acme"
	agentEmail = "agent@example.org"
)

// people make the repositories.
func (w *World) people() {
	for i := range w.repos {
		r := w.forge.Add(owner, fmt.Sprintf("r%d", i), "main")
		w.forge.Push(r, "feature")
	}
}

func (w *World) repoNames() []*memforge.Repo {
	var out []*memforge.Repo
	for _, r := range w.forge.Repos() {
		out = append(out, r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// hook is a webhook's body and what stands around it.
type hook struct {
	id, event string
	body      []byte
}

// generate sends deliveries: failures, repeats of every kind, and what is of no use.
func (w *World) generate(r *rng, until time.Time) {
	var sent []hook
	for n := range w.deliveries {
		if !w.nap(r.dur(0, 2*w.faultPhase/time.Duration(3*w.deliveries)), until) {
			return
		}
		w.mu.Lock()
		h := w.hook(r, n, sent)
		sent = append(sent, h)
		w.deliver(r, h)
		if r.chance(0.2) { // the sender did not hear the answer and sends it again
			w.deliver(r, h)
		}
		w.mu.Unlock()
	}
}

func (w *World) hook(r *rng, n int, sent []hook) hook {
	h := hook{id: fmt.Sprintf("d%d", n), event: "workflow_run"}
	conclusion, head, attempt := "failure", "", 1
	switch k := r.n(20); {
	case n == 0 && r.chance(0.02):
		h.event, h.body = poison, fmt.Appendf(nil, "poison %d", n)
		return h
	case k == 0:
		h.event, h.body = "ping", []byte(`{"zen":"x"}`)
		return h
	case k == 1:
		h.body = fmt.Appendf(nil, "not json %d", n)
		return h
	case k == 2 && len(sent) > 0:
		h.body = pick(r, sent).body // a captured request under a fresh id
		return h
	case k == 3:
		conclusion = "success"
	case k == 4:
		head = "somebody/fork"
	case k <= 7:
		attempt = n + 2
	}
	repos := w.repoNames()
	at := r.n(len(repos))
	repo := repos[at]
	branch := pick(r, []string{"main", "main", "feature"})
	if r.chance(0.3) {
		w.forge.Push(repo, branch)
	}
	sha := repo.Branches[branch]
	if sha == "" {
		sha = w.forge.Push(repo, branch)
	}
	if head == "" {
		head = repo.Name
	}
	if r.chance(0.03) {
		branch = "sre-agent/x"
	}
	flow := pick(r, []string{"ci", "lint", "test"})
	url := "https://forge/" + repo.Name
	h.body = fmt.Appendf(nil, `{"action":"completed","repository":{"id":%d,"name":"r%d","full_name":%q,"owner":{"login":%q},"clone_url":%q,"html_url":%q,"default_branch":"main"},
"workflow_run":{"id":%d,"name":%q,"path":".github/workflows/%s.yml","head_branch":%q,"head_sha":%q,"head_repository":{"full_name":%q},"conclusion":%q,"run_attempt":%d,"html_url":%q}}`,
		at+1, at, repo.Name, owner, url+".git", url, 100+n, flow, flow, branch, sha, head, conclusion, attempt, url+"/runs/1")
	return h
}

// deliver is ingest: it publishes, and the delivery is accepted once the stream's answer has come. The caller holds
// the world.
func (w *World) deliver(r *rng, h hook) {
	if w.down[nats].After(time.Now()) {
		return // 503: the sender sees it
	}
	body := h.body
	if r.chance(0.01) {
		body = body[:len(body)-1] // what nobody can read
	}
	at := time.Now().Add(r.dur(-time.Hour, time.Hour)) // the clock of ingest's host
	seq, duplicate := w.publish(streams.Deliveries, &streams.Message{
		ID: "github-" + h.id, Type: streams.TypeDelivery, Subject: "deliveries.github.acme.r", Time: at, Body: body,
		Header: gonats.Header{
			streams.HdrProvider: {"github"}, streams.HdrDeliveryID: {h.id}, streams.HdrEvent: {h.event},
		},
	})
	w.tracef("delivery %s %s: sequence %d, duplicate %t", h.id, h.event, seq, duplicate)
	if !duplicate && !r.chance(w.rate) { // or the reply is lost
		if w.seen.accepted[h.id] == nil {
			w.seen.delivered = append(w.seen.delivered, h.id)
		}
		w.seen.accepted[h.id] = &accepted{seq: seq}
	}
}

// fingerprint tells the same trouble on a new commit: here it is one of two in each branch, or none.
func (w *World) fingerprint(r store.Run) string {
	own := w.root.child("trouble"+r.Failure.Commit, 0)
	if own.n(12) == 0 {
		return ""
	}
	return fmt.Sprintf("fp-%s-%s-%d", r.Failure.Repository.Name, r.Failure.Branch, own.n(6)/5)
}

// trouble tells the same error elsewhere: here it is one of two, or none.
func (w *World) trouble(r store.Run) string {
	own := w.root.child("error"+r.Failure.Commit, 0)
	return pick(&own, []string{"", "broken", "broken", "missing"})
}

// verified is a result of the pipeline with a fix: for the same error it is the same change, in a file of its own.
func (w *World) verified(r store.Run, fp string) runner.Result {
	trouble := w.trouble(r)
	file := fmt.Sprintf("%d-%d.txt", r.ID, r.Fence)
	diff := fmt.Appendf(nil, "diff --git a/%[1]s b/%[1]s\nindex 1111111..2222222 100644\n--- a/%[1]s\n+++ b/%[1]s\n@@ -1 +1 @@\n-%[2]s\n+mended\n", file, trouble)
	return runner.Result{State: run.Fixed, Fingerprint: fp, Fix: store.Fix{
		BaseCommit: r.Failure.Commit, Diff: diff, Digest: patch.Digest(diff), Fixer: "sim", Title: "Fix it", Explanation: "It was broken.",
		Fingerprint: fp, Trouble: trouble, Evidence: []byte(`{"stages":[]}`),
	}}
}

// livePeople do to the forge what people do.
func (w *World) livePeople(r *rng, until time.Time) {
	for w.nap(r.dur(0, pick(r, []time.Duration{100 * time.Millisecond, 2 * time.Second, 6 * time.Second, 12 * time.Second})), until) {
		w.mu.Lock()
		w.person(r)
		w.mu.Unlock()
	}
}

func (w *World) person(r *rng) {
	repo := pick(r, w.repoNames())
	var pr *memforge.PullRequest
	if len(repo.Pulls) > 0 {
		pr = pick(r, repo.Pulls)
	}
	k := r.n(20)
	if pr == nil && k < 12 {
		k = 12 + r.n(8)
	}
	switch {
	case k < 3 && pr.State == forge.Open:
		w.tracef("person closes %s", pr.URL)
		w.forge.Close(pr)
	case k < 6 && pr.State == forge.Open:
		w.tracef("person merges %s", pr.URL)
		w.forge.Merge(repo, pr)
	case k < 8:
		w.tracef("person reopens %s: %t", pr.URL, w.forge.Reopen(repo, pr))
	case k < 10 && repo.Branches[pr.HeadRef] != "":
		w.tracef("person pushes to %s", pr.HeadRef)
		w.forge.Push(repo, pr.HeadRef)
	case k == 10:
		w.tracef("person deletes %s", pr.HeadRef)
		w.forge.DeleteBranch(repo, pr.HeadRef)
	case k == 13:
		w.tracef("person moves main of %s", repo.Name)
		w.forge.Push(repo, "main")
	case k == 14 && r.chance(0.3):
		w.tracef("person deletes feature of %s", repo.Name)
		w.forge.DeleteBranch(repo, "feature")
	case k == 15:
		w.takeBranch(r)
	}
}

// meddle is a person who sees a new pull request at once.
func (w *World) meddle(name string, number int) {
	r := w.root.child("meddle "+name, uint64(number))
	repo := w.forge.Repos()[name]
	pr := repo.Pulls[number-1]
	if w.calm || !r.chance(0.25) {
		return
	}
	switch r.n(5) {
	case 0, 1:
		w.tracef("person closes %s at once", pr.URL)
		w.forge.Close(pr)
	case 2:
		w.tracef("person merges %s at once", pr.URL)
		w.forge.Merge(repo, pr)
	case 3:
		w.tracef("person pushes to %s at once", pr.HeadRef)
		w.forge.Push(repo, pr.HeadRef)
	case 4:
		w.tracef("person moves %s at once", pr.BaseRef)
		w.forge.Push(repo, pr.BaseRef)
	}
}

// race is a person who takes a branch's name in the very moment before we push it.
func (w *World) race(name, branch string) {
	r := w.root.child("race "+branch, 0)
	repo := w.forge.Repos()[name]
	if w.calm || !r.chance(0.02) || repo.Branches[branch] != "" {
		return
	}
	w.tracef("person takes the branch %s just before us", branch)
	w.forge.Push(repo, branch)
}

// takeBranch is a person who takes the name of our branch before we do.
func (w *World) takeBranch(r *rng) {
	n := w.store.Len()
	if n == 0 {
		return
	}
	row, err := w.store.Run(w.ctx, int64(r.in(1, n)))
	if err != nil {
		return
	}
	branch := publisher.Branch(row.Failure, int(row.Generation))
	repo := w.forge.Repos()[row.Failure.Repository.FullName()]
	if repo == nil || repo.Branches[branch] != "" || !r.chance(0.3) {
		return
	}
	w.tracef("person takes the branch %s", branch)
	w.forge.Push(repo, branch)
	if r.chance(0.5) {
		w.forge.OpenAsPerson(repo, branch, "main")
	}
}

// operate is what people do to runs.
func (w *World) operate(r *rng, until time.Time) {
	for w.nap(r.dur(time.Second, 25*time.Second), until) {
		w.mu.Lock()
		if n := w.store.Len(); n > 0 {
			w.operator(r, int64(r.in(1, n)))
		}
		w.mu.Unlock()
	}
}

func (w *World) operator(r *rng, id int64) {
	ctx, who := context.Background(), store.Actor{Who: "op", Why: "because"}
	before, _ := w.store.Peek(id)
	var err error
	what := pick(r, []string{"cancel", "retry", "retry", "unblock", "unblock"})
	switch what {
	case "cancel":
		if _, err = w.store.CancelRun(ctx, id, who); err == nil {
			w.seen.cancels[id] = cancelled{before.Fence, len(w.seen.attempts[id]), time.Now()}
			w.attemptEnded(id, false)
		}
	case "retry":
		_, err = w.store.RetryRun(ctx, id, who)
	case "unblock":
		if before.Fingerprint != nil {
			if url, _ := w.store.Refused(ctx, *before.Fingerprint); url != "" {
				defer w.lift(*before.Fingerprint, &err)
			}
		}
		_, err = w.store.UnblockRun(ctx, id, who)
	}
	w.tracef("operator: %s run %d, which was %s(%s): %v", what, id, before.State, before.Reason, err)
}

// lift remembers which pull requests no longer stand against their fingerprint, should they be closed: one that was
// closed, noticed, opened again, and closed again after the refusal was lifted is nobody's no any more.
func (w *World) lift(fingerprint string, err *error) {
	if *err != nil {
		return
	}
	for _, r := range w.forge.Repos() {
		for _, pr := range r.Pulls {
			if p, ok := w.seen.intents[pr.HeadRef]; ok && p.Fingerprint == fingerprint {
				w.seen.lifted[pr.URL] = true
			}
		}
	}
}
