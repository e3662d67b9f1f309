package throttle

import (
	"context"
	"log/slog"
	"time"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/streams"
)

// Schedule is what the scheduler needs of the store.
type Schedule interface {
	RingDue(ctx context.Context, perRepository int, n int32) ([]store.Run, error)
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

// batch is how many runs one round handles of each kind.
const batch = 200

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

// Loop runs rounds until ctx ends: when woken, when something falls due, and at least every Interval.
func (s *Scheduler) Loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		next, err := s.runOnce(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "scheduler round failed", "error", err)
			next = s.Interval
		}
		timer.Reset(min(max(next, 10*time.Millisecond), s.Interval))
	}
}

// runOnce does one round and returns how long it is until something falls due. A doorbell that can't be rung
// is rung again later: the row remembers.
func (s *Scheduler) runOnce(ctx context.Context) (time.Duration, error) {
	taken, err := s.Store.TakeBack(ctx, s.Limits, batch)
	if err != nil {
		return 0, err
	}
	for _, r := range taken {
		s.tellTaken(ctx, r)
	}
	due, err := s.Store.RingDue(ctx, s.Limits.PerRepository, batch)
	if err != nil {
		return 0, err
	}
	again, err := s.Store.RingAgain(ctx, s.Silence, batch)
	if err != nil {
		return 0, err
	}
	fixed, err := s.Store.RingFixed(ctx, s.Silence, batch)
	if err != nil {
		return 0, err
	}
	for _, r := range append(due, again...) {
		s.ring(ctx, streams.TypeRun, streams.RunSubject, r)
	}
	for _, r := range fixed {
		s.ring(ctx, streams.TypeFix, streams.FixSubject, r)
	}
	if len(due) == batch {
		return 0, nil
	}
	return s.Store.NextDue(ctx)
}

func (s *Scheduler) ring(ctx context.Context, kind string, subject func(provider, owner, name string) string, r store.Run) {
	ctx = streams.WithTraceParent(ctx, r.TraceParent)
	repo := r.Failure.Repository
	err := s.Bell.Ring(ctx, kind, subject(r.Failure.Provider, repo.Owner, repo.Name), r.ID, r.Fence, r.Rings)
	if err != nil {
		s.Log.WarnContext(ctx, "doorbell not rung; it will be rung again", "run_id", r.ID, "kind", kind, "error", err)
		return
	}
	s.Bell.Emit(ctx, event(kind, r))
}

func (s *Scheduler) tellTaken(ctx context.Context, r store.Run) {
	s.Log.WarnContext(ctx, "lease ran out; run taken back", "run_id", r.ID, "run_key", r.RunKey, "state", r.State,
		"reason", r.Reason, "attempt", r.AttemptCount)
	e := event("run."+r.State, r)
	e.Detail = "the lease of its holder ran out"
	s.Bell.Emit(ctx, e)
	switch run.State(r.State) {
	case run.Waiting:
		s.Counters.Retry(ctx, telemetry.RetryCrash)
		s.Counters.Throttled(ctx, telemetry.ThrottleReason(r.Reason))
	case run.Blocked:
		s.Counters.LoopBlocked(ctx, telemetry.LoopMaxAttempts)
		s.Counters.RunEnded(ctx, telemetry.EndingBlocked)
	default:
	}
}

func event(kind string, r store.Run) streams.Event {
	repo := r.Failure.Repository
	return streams.Event{
		Kind: kind, Provider: r.Failure.Provider, Owner: repo.Owner, Name: repo.Name,
		RunID: r.ID, Attempt: int(r.AttemptCount), Reason: r.Reason,
	}
}
