package world

import (
	"context"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/memlease"
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/streams"
)

// bell is the bus of one process.
type bell struct{ p *proc }

// Ring publishes a doorbell.
func (b bell) Ring(ctx context.Context, kind, subject string, runID, fence int64, rings int32) error {
	id := fmt.Sprintf("%s-%d-%d-%d", kind, runID, fence, rings)
	stream := streams.Runs
	if kind == streams.TypeFix {
		stream = streams.Fixes
	}
	key := uint64(runID)<<40 | uint64(fence)<<20 | uint64(rings) | 1<<63
	return b.p.step(ctx, op{dep: nats, name: "ring " + id, key: key}, func() error {
		b.p.w.publish(stream, &streams.Message{ID: id, Type: kind, Subject: subject, RunID: runID, Fence: fence, Time: time.Now()})
		return nil
	})
}

// Emit tells; nothing depends on it.
func (bell) Emit(context.Context, streams.Event) {}

// Wake wakes every scheduler, unless NATS is away.
func (b bell) Wake() {
	b.p.w.mu.Lock()
	defer b.p.w.mu.Unlock()
	if b.p.dead || !b.p.reaches(nats) {
		return
	}
	b.p.w.wakeAll()
}

func (w *World) wakeAll() {
	for _, s := range w.slots {
		if s.proc != nil && !s.proc.dead && w.seen.wake[s.proc] != nil {
			w.seen.wake[s.proc]()
		}
	}
}

// publish stores a message and wakes whoever waits for it. The caller holds the world.
func (w *World) publish(stream string, m *streams.Message) (seq uint64, duplicate bool) {
	seq, duplicate = w.jets[stream].Publish(m)
	if !duplicate {
		w.ring(stream)
	}
	return seq, duplicate
}

// walker reads the deliveries stream for the reconciler.
type walker struct{ p *proc }

// WalkDone is throttle.Walker's.
func (k walker) WalkDone(ctx context.Context, stream, _ string, from uint64, n int, f func(*streams.Message) error) (next, last uint64, err error) {
	var found []*streams.Message
	err = k.p.step(ctx, op{dep: nats, name: "walk"}, func() error {
		st := k.p.w.jets[stream]
		floor := st.Floor()
		last, next = st.Last(), from
		for left := n; left > 0 && next <= floor; next, left = next+1, left-1 {
			if m := st.Get(next); m != nil {
				found = append(found, m)
			}
		}
		return nil
	})
	if err != nil {
		return from, 0, err
	}
	for _, m := range found {
		if err := f(m); err != nil {
			return next, last, err
		}
	}
	return next, last, nil
}

// lockOf, slotsOf and rateOf are Redis as one process reaches it.
type (
	lockOf  struct{ p *proc }
	slotsOf struct{ p *proc }
	rateOf  struct{ p *proc }
)

func (l lockOf) Acquire(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	return call(ctx, l.p, op{dep: redis, name: "lock"}, func() (bool, error) {
		got, err := memlease.Lock{Redis: l.p.w.redis}.Acquire(ctx, key, token, ttl)
		if got {
			l.p.w.lockTaken(key, token, ttl)
		}
		return got, err
	})
}

func (l lockOf) Renew(ctx context.Context, key, token string, ttl time.Duration) error {
	return l.p.step(ctx, op{dep: redis, name: "renew lock", beat: true}, func() error {
		err := memlease.Lock{Redis: l.p.w.redis}.Renew(ctx, key, token, ttl)
		if err == nil {
			l.p.w.lockTaken(key, token, ttl)
		}
		return err
	})
}

func (l lockOf) Release(ctx context.Context, key, token string) error {
	return l.p.step(ctx, op{dep: redis, name: "unlock"}, func() error {
		lock := memlease.Lock{Redis: l.p.w.redis}
		before := lock.Holder(key)
		err := lock.Release(ctx, key, token)
		l.p.w.lockLeft(key, token, before, lock.Holder(key))
		return err
	})
}

func (s slotsOf) Take(ctx context.Context, repo, holder string, limit int, ttl time.Duration) (bool, error) {
	return call(ctx, s.p, op{dep: redis, name: "take slot"}, func() (bool, error) {
		got, err := memlease.Slots{Redis: s.p.w.redis}.Take(ctx, repo, holder, limit, ttl)
		if got {
			s.p.w.slotTaken(repo, holder, limit, ttl)
		}
		return got, err
	})
}

func (s slotsOf) Renew(ctx context.Context, repo, holder string, ttl time.Duration) error {
	return s.p.step(ctx, op{dep: redis, name: "renew slot", beat: true}, func() error {
		err := memlease.Slots{Redis: s.p.w.redis}.Renew(ctx, repo, holder, ttl)
		if err == nil {
			s.p.w.slotTaken(repo, holder, s.p.w.limits.PerRepository, ttl)
		}
		return err
	})
}

func (s slotsOf) Release(ctx context.Context, repo, holder string) error {
	return s.p.step(ctx, op{dep: redis, name: "release slot"}, func() error {
		delete(s.p.w.seen.slots[repo], holder)
		return memlease.Slots{Redis: s.p.w.redis}.Release(ctx, repo, holder)
	})
}

func (r rateOf) Reserve(ctx context.Context, key string, perMinute, burst int) (time.Duration, error) {
	return call(ctx, r.p, op{dep: redis, name: "reserve"}, func() (time.Duration, error) {
		return memlease.Rate{Redis: r.p.w.redis}.Reserve(ctx, key, perMinute, burst)
	})
}

// forgeOf, gitOf and review are the forge as one process reaches it.
type (
	forgeOf struct{ p *proc }
	gitOf   struct{ p *proc }
	review  struct{ p *proc }
)

// target is the one forge that there is.
func target(p *proc) func(ci.Failure) (publisher.Target, error) {
	return func(f ci.Failure) (publisher.Target, error) {
		return publisher.Target{Place: origin.Place{Forge: origin.GitHub, Owner: f.Repository.Owner, Name: f.Repository.Name}, Forge: forgeOf{p}}, nil
	}
}

func (f forgeOf) FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error) {
	return call(ctx, f.p, op{dep: hub, name: "find pull requests of " + branch}, func() ([]forge.PullRequest, error) {
		return f.p.w.forge.FindPullRequests(ctx, owner, name, branch)
	})
}

func (f forgeOf) CreatePullRequest(ctx context.Context, owner, name string, in forge.NewPullRequest) (forge.PullRequest, error) {
	pr, err := call(ctx, f.p, op{dep: hub, name: "create pull request of " + in.Head}, func() (forge.PullRequest, error) {
		if err := f.p.w.creating(in.Head); err != nil {
			return forge.PullRequest{}, err
		}
		pr, err := f.p.w.forge.CreatePullRequest(ctx, owner, name, in)
		if err == nil {
			f.p.w.pullRequestOpened(in.Head, pr)
			f.p.w.meddle(owner+"/"+name, pr.Number)
		}
		return pr, err
	})
	return pr, f.p.w.tell(f.p, in.Head, err)
}

func (f forgeOf) BranchHead(ctx context.Context, owner, name, branch string) (string, error) {
	return call(ctx, f.p, op{dep: hub, name: "head of " + branch}, func() (string, error) { return f.p.w.forge.BranchHead(ctx, owner, name, branch) })
}

func (f forgeOf) Repository(ctx context.Context, owner, name string) (forge.Repository, error) {
	return call(ctx, f.p, op{dep: hub, name: "repository"}, func() (forge.Repository, error) { return f.p.w.forge.Repository(ctx, owner, name) })
}

func (f forgeOf) Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error) {
	return call(ctx, f.p, op{dep: hub, name: "comments"}, func() ([]forge.Comment, error) { return f.p.w.forge.Comments(ctx, owner, name, number) })
}

func (f forgeOf) Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error) {
	return call(ctx, f.p, op{dep: hub, name: "comment"}, func() (forge.Comment, error) {
		return f.p.w.forge.Comment(ctx, owner, name, number, body)
	})
}

func (f forgeOf) EditComment(ctx context.Context, owner, name string, number int, id, body string) error {
	return f.p.step(ctx, op{dep: hub, name: "edit comment"}, func() error { return f.p.w.forge.EditComment(ctx, owner, name, number, id, body) })
}

func (f forgeOf) AddLabels(ctx context.Context, owner, name string, number int, labels []string) error {
	return f.p.step(ctx, op{dep: hub, name: "add labels"}, func() error { return f.p.w.forge.AddLabels(ctx, owner, name, number, labels) })
}

func (f forgeOf) CommitChecks(ctx context.Context, owner, name, commit string) (forge.Checks, error) {
	return call(ctx, f.p, op{dep: hub, name: "checks"}, func() (forge.Checks, error) { return f.p.w.forge.CommitChecks(ctx, owner, name, commit) })
}

func (f forgeOf) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	return call(ctx, f.p, op{dep: hub, name: "open pull requests"}, func() ([]forge.PullRequest, error) {
		return f.p.w.forge.OpenPullRequests(ctx, owner, name)
	})
}

func (f forgeOf) ChangedFiles(ctx context.Context, owner, name string, number int) ([]forge.FileChange, error) {
	return call(ctx, f.p, op{dep: hub, name: "changed files"}, func() ([]forge.FileChange, error) {
		return f.p.w.forge.ChangedFiles(ctx, owner, name, number)
	})
}

func (g gitOf) Commit(ctx context.Context, at origin.Place, c publisher.Commit) (string, error) {
	return call(ctx, g.p, op{dep: hub, name: "build commit"}, func() (string, error) { return g.p.w.forge.Commit(ctx, at, c) })
}

func (g gitOf) RemoteHead(ctx context.Context, at origin.Place, branch string) (id string, exists bool, err error) {
	err = g.p.step(ctx, op{dep: hub, name: "remote head of " + branch}, func() error {
		id, exists, err = g.p.w.forge.RemoteHead(ctx, at, branch)
		return err
	})
	return id, exists, err
}

// Off is never so here.
func (g gitOf) Off(ctx context.Context, _ origin.Place, _, _ string) (bool, error) {
	return false, g.p.step(ctx, op{dep: hub, name: "read settings"}, func() error { return nil })
}

func (g gitOf) PushNew(ctx context.Context, at origin.Place, commit, branch string) error {
	return g.p.step(ctx, op{dep: hub, name: "push " + branch}, func() error {
		g.p.w.race(at.Owner+"/"+at.Name, branch)
		err := g.p.w.forge.PushNew(ctx, at, commit, branch)
		if err == nil {
			g.p.w.pushed(branch, commit)
		}
		return err
	})
}

// Review passes, and now and then panics.
func (r review) Review(ctx context.Context, diff []byte) error {
	t := taskOf(ctx)
	if r.p.fault(&t.main) == crashBefore {
		panic(seededPanic{})
	}
	if len(diff) == 0 {
		return fmt.Errorf("an empty diff")
	}
	return nil
}

var _ publisher.Store = storeOf{}

// storeOf is PostgreSQL as one process reaches it.
type storeOf struct{ p *proc }

func (s storeOf) Fix(ctx context.Context, id int64) (db.Fix, error) {
	return call(ctx, s.p, op{dep: pg, name: "fix"}, func() (db.Fix, error) { return s.p.w.store.Fix(ctx, id) })
}

func (s storeOf) Run(ctx context.Context, id int64) (store.Run, error) {
	return call(ctx, s.p, op{dep: pg, name: fmt.Sprint("run ", id)}, func() (store.Run, error) { return s.p.w.store.Run(ctx, id) })
}
