package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/watch"
)

// WatchStore is what the watcher needs of the judge.
type WatchStore interface {
	ClaimWatch(ctx context.Context, holder string, ttl time.Duration) (*store.Watch, error)
	RenewWatch(ctx context.Context, w store.Watch, ttl time.Duration) error
	RecordLook(ctx context.Context, w store.Watch, p watch.Plan) (*store.Watch, error)
	OwnComment(ctx context.Context, w store.Watch, id, digest string) error
	MarkWatch(ctx context.Context, w store.Watch, head string) error
	ReleaseWatch(ctx context.Context, w store.Watch, r store.Release) error
	NextWatch(ctx context.Context) (time.Duration, error)
	WatchFacts
}

// WatchFacts is what the records say about a watched pull request.
type WatchFacts interface {
	FixOfWatch(ctx context.Context, w store.Watch) (db.Fix, error)
	PassedOn(ctx context.Context, f ci.Failure, commit string) (bool, error)
	SwitchedOff(ctx context.Context, runID int64) (*db.Switch, error)
	Follower(ctx context.Context, w store.Watch, commit string) (int64, error)
}

// History reads the newest commits of a branch.
type History interface {
	Messages(ctx context.Context, at origin.Place, branch string) ([]gitrepo.Message, error)
}

// Settings reads what a repository's own settings say.
type Settings interface {
	// Off says whether .sre-agent.yaml on a branch, or on the default one when it is "", says mode: off. The commit is the
	// failing one: a fix of it is built next, so it is fetched along.
	Off(ctx context.Context, at origin.Place, branch, commit string) (bool, error)
}

// Watcher looks at the pull requests that were opened, each when it is due, and does what people and the forge say there.
//
// It promises that a command is acted on once, and only for somebody whom the forge, asked just then, lets write; that
// everything which a pull request's end means is recorded with it; and that a look costs the same however many are
// watched. Several may run at once: whoever has a row's lease looks, and the others pass it over.
type Watcher struct {
	Store    WatchStore
	Target   func(ci.Failure) (Target, error)
	History  History
	Settings Settings
	Events   Emitter
	// Writes bounds what is written; nil: nothing does.
	Writes   Writes
	Counters *telemetry.Counters
	Log      *slog.Logger
	Redact   func(string) string
	// Holder names this process in leases; TTL is their length.
	Holder string
	TTL    time.Duration
	Every  Intervals
}

// Intervals say how often a pull request is looked at without any webhook, and for how long.
type Intervals struct {
	// Least is the rest between two looks while something happens. It grows to Most with the time since.
	Least, Most time.Duration
	// Stale is how long nothing may happen before nobody looks any more; a webhook begins it anew.
	Stale time.Duration
	// Base is how long the base is watched after a merge.
	Base time.Duration
}

const (
	// watchRest is the longest rest between two questions to the database.
	watchRest = 2 * time.Second
	// growth is how much of the time since the last change is the rest before the next look.
	growth = 10
)

// Loop looks at what is due until ctx ends.
func (s *Watcher) Loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		rest := watchRest
		worked, err := s.RunOnce(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.Log.WarnContext(ctx, "pull requests are not watched just now", "error", s.Redact(err.Error()))
		case worked:
			rest = 0
		case err == nil:
			if next, err := s.Store.NextWatch(ctx); err == nil {
				rest = min(max(next, time.Millisecond), watchRest)
			}
		}
		timer.Reset(rest)
	}
}

// RunOnce looks at the pull request that has been due for longest, and says whether there was one.
//
//	died before the record          nothing has happened; look again
//	died after it, before an effect the record says what is to be done, and the next look does it
//	died after an effect            closing, marking and editing again change nothing; a comment is found by its mark
//	reply of an effect lost         as if died after it
func (s *Watcher) RunOnce(ctx context.Context) (worked bool, err error) {
	asked := time.Now()
	w, err := s.Store.ClaimWatch(ctx, s.Holder+"/"+uuid.NewString(), s.TTL)
	if err != nil || w == nil {
		return false, err
	}
	held, stop := lease.Keep(ctx, asked, s.TTL, func(ctx context.Context) error {
		err := s.Store.RenewWatch(ctx, *w, s.TTL)
		if errors.Is(err, store.ErrFenced) {
			return fmt.Errorf("%w: %w", lease.ErrLost, err)
		}
		return err
	})
	defer stop()
	again, after, err := s.see(held, w)
	lost := lease.Lost(held)
	stop()
	if lost != nil || errors.Is(err, store.ErrFenced) || ctx.Err() != nil {
		return true, nil // somebody else looks, or the lease runs out and the next one does
	}
	err = s.Store.ReleaseWatch(ctx, *w, s.release(ctx, w, after, again, err))
	if errors.Is(err, store.ErrFenced) {
		err = nil
	}
	return true, err
}

// see looks, records and acts. after is the watch as it is then, or nil; again says that the next look is due at once.
func (s *Watcher) see(ctx context.Context, w *store.Watch) (again bool, after *store.Watch, err error) {
	at, err := s.Target(w.Run.Failure)
	if err != nil {
		return false, nil, err
	}
	f, ok := at.Forge.(Watched)
	if !ok {
		return false, nil, fmt.Errorf("what becomes of pull requests on %s: %w", at.Base, forge.ErrUnsupported)
	}
	l := looker{Watcher: s, forge: f, at: at, w: *w}
	seen, err := l.look(ctx)
	if err != nil {
		return false, nil, err
	}
	plan := watch.Decide(w.State(), seen)
	after, err = s.Store.RecordLook(ctx, *w, plan)
	if err != nil {
		return false, nil, err
	}
	s.tell(ctx, *after, plan)
	again, err = l.act(ctx, *after, plan)
	return again, after, err
}

// release says when a watch is due again: soon while something happens, later and later when nothing does. What failed
// is tried again with growing rests; what can't be done is looked at as seldom as possible, in case somebody mends it.
func (s *Watcher) release(ctx context.Context, w, after *store.Watch, again bool, err error) store.Release {
	if err != nil {
		s.Log.WarnContext(ctx, "pull request not looked at", "run_id", w.RunID, "pull_request", w.PrNumber, "tries", w.Tries+1, "error", s.Redact(err.Error()))
		r := store.Release{Tries: w.Tries + 1, Problem: s.Redact(err.Error()), After: run.TransientDelay(int(w.Tries), fault.RetryAfter(err))}
		if _, permanent := fault.Reason(err); permanent {
			r.After, r.Stops = s.Every.Most, time.Since(w.ChangedAt) > s.Every.Stale
		}
		return r
	}
	if again {
		return store.Release{}
	}
	idle := time.Since(after.ChangedAt)
	if after.MergedAt != nil {
		return store.Release{After: s.rest(idle), Stops: time.Since(*after.MergedAt) > s.Every.Base}
	}
	return store.Release{After: s.rest(idle), Stops: idle > s.Every.Stale}
}

func (s *Watcher) rest(idle time.Duration) time.Duration {
	return min(max(idle/growth, s.Every.Least), s.Every.Most)
}
