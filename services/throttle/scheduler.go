package throttle

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sre-agent/sre-agent/internal/about"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/streams"
)

// Schedule is what the scheduler needs of the store.
type Schedule interface {
	RingDue(ctx context.Context, perRepository int, n int32) ([]store.Run, error)
	MendTurns(ctx context.Context, perRepository int) (int64, error)
	RingAgain(ctx context.Context, older time.Duration, n int32) ([]store.Run, error)
	RingFixed(ctx context.Context, older time.Duration, n int32) ([]store.Run, error)
	TakeBack(ctx context.Context, limits run.Limits, n int32) ([]store.Run, error)
	NextDue(ctx context.Context) (time.Duration, error)
}

// Bell rings doorbells and announces events.
type Bell interface {
	Ring(ctx context.Context, kind, subject string, runID, fence int64, rings int32) error
	Emitter
}

const (
	// batch is how many runs one round handles of each kind.
	batch = 200
	// ringers is how many doorbells are on their way to the stream at once.
	ringers = 16
	// shortRest is the rest when something is due but not to be had just now: a transaction in flight holds it.
	shortRest = 5 * time.Millisecond
	// mendEvery is how often the schedule is compared with the runs. It finds nothing unless rows were restored.
	mendEvery = time.Minute
)

// Scheduler rings runs that are due, rings again for those that nobody has claimed, and takes back those whose
// holder is gone. Several schedulers may run at once: each row is rung by one of them.
type Scheduler struct {
	Store    Schedule
	Bell     Bell
	Counters *telemetry.Counters
	Log      *slog.Logger
	Limits   run.Limits
	// Silence is how long a doorbell may go unanswered before it is rung again.
	Silence time.Duration
	// Interval is the longest time between two rounds.
	Interval time.Duration

	wake chan struct{}
	// away says that the last sweep failed; until patient nothing is taken back.
	away    bool
	patient time.Time
}

// NewScheduler returns a scheduler that Wake can wake.
func NewScheduler(s Scheduler) *Scheduler {
	s.wake = make(chan struct{}, 1)
	return &s
}

// Wake asks for a round soon. It never blocks.
func (s *Scheduler) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Loop runs rounds until ctx ends: when woken, when something falls due, and at least every Interval. Sweeps, for
// what should not have happened, run every Interval.
func (s *Scheduler) Loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var swept, mended time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		var errs []error
		if now := time.Now(); now.Sub(mended) >= mendEvery {
			errs = append(errs, s.mend(ctx))
			mended = now
		}
		next, err := s.runOnce(ctx)
		errs = append(errs, err)
		if now := time.Now(); now.Sub(swept) >= s.Interval {
			errs = append(errs, s.sweep(ctx))
			swept = now
		}
		if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "scheduler round failed", "error", err)
			next = s.Interval
		}
		timer.Reset(min(next, s.Interval))
	}
}

// runOnce rings what is due and returns how long it is until something else is. A doorbell that can't be rung is
// rung again later: the row remembers.
func (s *Scheduler) runOnce(ctx context.Context) (time.Duration, error) {
	due, err := s.Store.RingDue(ctx, s.Limits.PerRepository, batch)
	if err != nil {
		return 0, err
	}
	s.ringAll(ctx, streams.TypeRun, streams.RunSubject, due)
	fixed, err := s.Store.RingFixed(ctx, s.Silence, batch)
	if err != nil {
		return 0, err
	}
	s.ringAll(ctx, streams.TypeFix, streams.FixSubject, fixed)
	if len(due) == batch {
		return 0, nil
	}
	next, err := s.Store.NextDue(ctx)
	if err != nil {
		return 0, err
	}
	// The timer is never early by the database's clock: a look that comes too soon would be repeated.
	return max(next+time.Millisecond, shortRest), nil
}

// sweep takes back the runs of holders that are gone, and rings again where nobody answered. After an outage of the
// database it first gives holders the time of a lease: they could not renew, or hand back, any more than it could look.
func (s *Scheduler) sweep(ctx context.Context) (err error) {
	if s.away {
		s.patient = time.Now().Add(s.Silence)
	}
	defer func() { s.away = err != nil }()
	var taken []store.Run
	if !time.Now().Before(s.patient) {
		if taken, err = s.Store.TakeBack(ctx, s.Limits, batch); err != nil {
			return err
		}
	}
	for _, r := range taken {
		s.tellTaken(ctx, r)
	}
	again, err := s.Store.RingAgain(ctx, s.Silence, batch)
	if err != nil {
		return err
	}
	s.ringAll(ctx, streams.TypeRun, streams.RunSubject, again)
	if len(taken) > 0 {
		s.Wake() // their slots are free
	}
	return nil
}

func (s *Scheduler) mend(ctx context.Context) error {
	n, err := s.Store.MendTurns(ctx, s.Limits.PerRepository)
	if n > 0 {
		s.Log.WarnContext(ctx, "waiting runs that the schedule did not know; it knows them now", "repositories", n)
	}
	return err
}

// ringAll rings the doorbells in their order, several at once: each waits for the stream's acknowledgement.
func (s *Scheduler) ringAll(ctx context.Context, kind string, subject func(provider, owner, name string) string, runs []store.Run) {
	if len(runs) == 1 {
		s.ring(ctx, kind, subject, runs[0])
		return
	}
	var g errgroup.Group
	g.SetLimit(ringers)
	for _, r := range runs {
		g.Go(func() error { s.ring(ctx, kind, subject, r); return nil })
	}
	_ = g.Wait() // ring logs what it can't do
}

func (s *Scheduler) ring(ctx context.Context, kind string, subject func(provider, owner, name string) string, r store.Run) {
	ctx = of(streams.WithTraceParent(ctx, r.TraceParent), r)
	repo := r.Failure.Repository
	err := s.Bell.Ring(ctx, kind, subject(r.Failure.Provider, repo.Owner, repo.Name), r.ID, r.Fence, r.Rings)
	if err != nil {
		s.Log.WarnContext(ctx, "doorbell not rung; it will be rung again", "kind", kind, "error", err)
		return
	}
	s.Bell.Emit(ctx, event(kind, r))
}

func (s *Scheduler) tellTaken(ctx context.Context, r store.Run) {
	ctx = of(streams.WithTraceParent(ctx, r.TraceParent), r)
	s.Log.WarnContext(ctx, "lease ran out; run taken back", "state", r.State, "reason", r.Reason)
	e := event("run."+r.State, r)
	e.Detail = "the lease of its holder ran out"
	s.Bell.Emit(ctx, e)
	switch run.State(r.State) {
	case run.Waiting:
		s.Counters.AttemptEnded(ctx, telemetry.AttemptCrashed)
		s.Counters.Retry(ctx, telemetry.RetryCrash)
		s.Counters.Throttled(ctx, telemetry.ThrottleReason(r.Reason))
	case run.Blocked:
		s.Counters.AttemptEnded(ctx, telemetry.AttemptCrashed)
		s.Counters.LoopBlocked(ctx, telemetry.LoopMaxAttempts)
		s.Counters.RunEnded(ctx, telemetry.EndingBlocked)
	default:
	}
}

// of says that ctx is about a run.
func of(ctx context.Context, r store.Run) context.Context {
	return about.With(ctx, about.Work{RunID: r.ID, RunKey: r.RunKey, Repository: r.Failure.Repository.FullName(), Attempt: int(r.AttemptCount)})
}

func event(kind string, r store.Run) streams.Event {
	repo := r.Failure.Repository
	return streams.Event{
		Kind: kind, Provider: r.Failure.Provider, Owner: repo.Owner, Name: repo.Name,
		RunID: r.ID, Attempt: int(r.AttemptCount), Reason: r.Reason,
	}
}
