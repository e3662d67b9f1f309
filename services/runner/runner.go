// Package runner works on runs: it takes the locks, claims the run, executes the fix pipeline and hands a
// verified fix to the publisher.
//
// It promises that it works on a run only while it holds the run's lock, a slot of its repository and the
// claim in PostgreSQL; that it stops its own work, sandbox and all, when any of them is lost; and that every
// attempt ends with a named reason. It can't link code that writes to a forge.
package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sre-agent/sre-agent/internal/about"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/streams"
)

// Store is what the runner needs of the judge.
type Store interface {
	Run(ctx context.Context, id int64) (store.Run, error)
	ClaimRun(ctx context.Context, c store.Claim) (claimed store.Run, refused string, err error)
	Defer(ctx context.Context, id, fence int64, reason string, delay time.Duration) error
	Renew(ctx context.Context, id, fence int64, holder string, ttl time.Duration) error
	ResumeFix(ctx context.Context, id, fence int64) (store.Run, bool, error)
	settler
}

// settler writes how an attempt ended.
type settler interface {
	EndRun(ctx context.Context, id, fence int64, e store.End) error
	SaveFix(ctx context.Context, id, fence int64, f store.Fix) error
	GiveBack(ctx context.Context, id, fence int64, g store.GiveBack) error
}

// Lock keeps two runners off one run key.
type Lock interface {
	Acquire(ctx context.Context, key, token string, ttl time.Duration) (bool, error)
	Renew(ctx context.Context, key, token string, ttl time.Duration) error
	Release(ctx context.Context, key, token string) error
}

// Slots bound how many runs of a repository are worked on at once.
type Slots interface {
	Take(ctx context.Context, repo, holder string, limit int, ttl time.Duration) (bool, error)
	Renew(ctx context.Context, repo, holder string, ttl time.Duration) error
	Release(ctx context.Context, repo, holder string) error
}

// Bell rings the publisher and announces events.
type Bell interface {
	Ring(ctx context.Context, kind, subject string, runID, fence int64, rings int32) error
	Emit(ctx context.Context, e streams.Event)
	Wake()
}

// Pipeline works on the code of one claimed run.
type Pipeline interface {
	Execute(ctx context.Context, r store.Run) Result
}

// Result is how the pipeline ended. Err is set when something outside failed and the run may be tried again;
// otherwise State is Fixed, Declined, Blocked or Superseded.
type Result struct {
	State       run.State
	Reason      string
	Explanation string
	Fingerprint string
	Fix         store.Fix
	Evidence    json.RawMessage
	// Rerun asks for one more run by the provider.
	Rerun bool
	Err   error
	// RetryAfter is how long whoever failed asked us to wait.
	RetryAfter time.Duration
}

// Service handles the doorbells of RUNS.
type Service struct {
	Store    Store
	Lock     Lock
	Slots    Slots
	Bell     Bell
	Pipeline Pipeline
	Counters *telemetry.Counters
	Log      *slog.Logger
	Limits   run.Limits
	// Holder names this process in leases.
	Holder string
	// TTL is the lease that the heartbeat renews; Redis's lock and slot have the same.
	TTL time.Duration
}

// Handle works on one rung run. The doorbell may be old, doubled or forged: the row decides.
func (s *Service) Handle(ctx context.Context, m *streams.Message) streams.Outcome {
	if m.Type != streams.TypeRun {
		return streams.Dead("unexpected_type", fmt.Errorf("a %q message on RUNS", m.Type))
	}
	r, err := s.Store.Run(ctx, m.RunID)
	if errors.Is(err, store.ErrNotFound) {
		return streams.Dead("unknown_run", err)
	}
	if err != nil {
		return streams.Leave(err)
	}
	if run.State(r.State) != run.Ready || r.Fence != m.Fence {
		s.Counters.RunSkipped(ctx, telemetry.SkipStale)
		return streams.Done() // an old doorbell
	}
	ctx = about.With(ctx, about.Work{RunID: r.ID, RunKey: r.RunKey, Repository: r.Failure.Repository.FullName()})
	if r.AttemptEndedAt != nil {
		resumed, err := s.resume(ctx, r)
		if err != nil {
			return streams.Leave(err)
		}
		if resumed {
			return streams.Done()
		}
	}
	return s.take(ctx, r)
}

// resume hands a run that was put off with its verified fix back to the publisher: its work is done. If the process dies
// before the write, the run is rung again; if it dies after it, the publisher is.
func (s *Service) resume(ctx context.Context, r store.Run) (bool, error) {
	r, resumed, err := s.Store.ResumeFix(ctx, r.ID, r.Fence)
	if err != nil || !resumed {
		return false, err
	}
	s.Bell.Wake() // it held a slot
	s.ringPublisher(ctx, r)
	return true, nil
}

// take takes lock and slot, then claims. Whatever is taken is given back in reverse order.
func (s *Service) take(ctx context.Context, r store.Run) streams.Outcome {
	token := s.Holder + "/" + uuid.NewString()
	repo := fmt.Sprint(r.RepositoryID)
	asked := time.Now()
	got, err := s.Lock.Acquire(ctx, r.RunKey, token, s.TTL)
	if err != nil {
		return streams.Leave(err)
	}
	if !got {
		// Whoever has the lock is about to claim, and the row must stay as that runner saw it; if it is dead, the lock
		// runs out and the sweeper rings again.
		s.Counters.RunSkipped(ctx, telemetry.SkipLocked)
		return streams.Done()
	}
	defer s.release(ctx, "lock", func(ctx context.Context) error { return s.Lock.Release(ctx, r.RunKey, token) })
	got, err = s.Slots.Take(ctx, repo, token, s.Limits.PerRepository, s.TTL)
	if err != nil {
		return streams.Leave(err)
	}
	if !got {
		return s.postpone(ctx, r, "slot_taken")
	}
	defer s.Bell.Wake()
	freeSlot := sync.OnceFunc(func() {
		s.release(ctx, "slot", func(ctx context.Context) error { return s.Slots.Release(ctx, repo, token) })
	})
	defer freeSlot()
	claimed, refused, err := s.Store.ClaimRun(ctx, store.Claim{
		RunID: r.ID, Fence: r.Fence, Holder: token, TTL: s.TTL, Limits: s.Limits,
	})
	switch {
	case err != nil:
		return streams.Leave(err)
	case refused == store.RefusedNoSlot:
		return s.postpone(ctx, r, "claim_refused")
	case refused != "":
		return streams.Done()
	}
	streams.LinkTo(ctx, r.LastTrace)
	if r.NotBefore != nil && claimed.AttemptStartedAt != nil {
		s.Counters.RunStarted(ctx, claimed.AttemptStartedAt.Sub(*r.NotBefore))
	}
	return s.work(about.With(ctx, about.Work{Attempt: int(claimed.AttemptCount)}), claimed, token, asked, freeSlot)
}

// postpone puts a rung run back to waiting. The caller holds the run's lock, so that nobody is about to claim it.
func (s *Service) postpone(ctx context.Context, r store.Run, why string) streams.Outcome {
	s.Counters.Throttled(ctx, telemetry.ThrottleNoSlot)
	s.Log.InfoContext(ctx, "run can't start yet", "why", why)
	err := s.Store.Defer(ctx, r.ID, r.Fence, run.WaitNoSlot, s.TTL/4)
	if err != nil && !errors.Is(err, store.ErrFenced) {
		return streams.Leave(err)
	}
	return streams.Done()
}

func (s *Service) release(ctx context.Context, what string, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := f(ctx); err != nil {
		s.Log.WarnContext(ctx, what+" not released; it runs out by itself", "error", err)
	}
}

// work executes the pipeline under the heartbeat and writes how it ended.
func (s *Service) work(ctx context.Context, r store.Run, token string, asked time.Time, freeSlot func()) streams.Outcome {
	s.emit(ctx, "run.running", r, Result{})
	held, stop := lease.Keep(ctx, asked, s.TTL, func(ctx context.Context) error { return s.renew(ctx, r, token) })
	defer stop() // a panic must not leave the heartbeat behind
	res := s.Pipeline.Execute(held, r)
	lost := lease.Lost(held)
	stop()
	if lost != nil {
		// When Redis forgot us and the database did not, the run is handed back. When somebody else has it, the
		// database refuses that.
		s.Log.ErrorContext(ctx, "lease lost; work dropped", "fence", r.Fence, "error", lost)
		res = Result{Err: lost, Evidence: res.Evidence}
	}
	if ctx.Err() != nil {
		res = Result{Err: errStopping, Evidence: res.Evidence}
	}
	// The work is over. The slot has to be free before the row says so: the next run may be rung that very moment, and
	// would be put off for a while if its runner found no slot. The row counts as active until it is settled.
	freeSlot()
	return s.settle(ctx, r, res)
}

// renew renews all three: claim, lock and slot.
func (s *Service) renew(ctx context.Context, r store.Run, token string) error {
	if err := s.Store.Renew(ctx, r.ID, r.Fence, token, s.TTL); err != nil {
		if errors.Is(err, store.ErrFenced) {
			return fmt.Errorf("%w: %w", lease.ErrLost, err)
		}
		return err
	}
	if err := s.Lock.Renew(ctx, r.RunKey, token, s.TTL); err != nil {
		return err
	}
	return s.Slots.Renew(ctx, fmt.Sprint(r.RepositoryID), token, s.TTL)
}

// errStopping is why work is handed back at a shutdown: it burns no attempt.
var errStopping = errors.New("the runner is stopping")

// settle writes an attempt's end. If the process dies before the commit the attempt has crashed; if it dies
// after, the message comes again and finds the run moved on. When the write can't be made at all, the lease runs
// out and the run is taken back.
func (s *Service) settle(working context.Context, r store.Run, res Result) streams.Outcome {
	ctx := context.WithoutCancel(working)
	err := s.persist(working, r.ID, func() error {
		switch {
		case res.Err != nil:
			return s.giveBack(ctx, r, &res)
		case res.State == run.Fixed:
			return s.Store.SaveFix(ctx, r.ID, r.Fence, res.Fix)
		default:
			return s.Store.EndRun(ctx, r.ID, r.Fence, store.End{
				State: res.State, Reason: res.Reason, Explanation: res.Explanation, Fingerprint: res.Fingerprint, Evidence: res.Evidence, Rerun: res.Rerun,
			})
		}
	})
	if errors.Is(err, store.ErrFenced) {
		s.Log.WarnContext(ctx, "result refused: the run is no longer ours", "fence", r.Fence)
		return streams.Done()
	}
	if err != nil {
		return streams.Leave(err)
	}
	s.tell(ctx, r, res)
	return streams.Done()
}

// persist goes on trying for as long as the database is away, however long that is: an outage of the judge must not
// cost a result, or an attempt. One that answers, and does not take the write, and a shutdown are waited for as long as
// it would take to lose the run twice over.
func (s *Service) persist(working context.Context, id int64, write func() error) error {
	ctx := context.WithoutCancel(working)
	deadline := time.NewTimer(2 * s.TTL)
	defer deadline.Stop()
	pause := 50 * time.Millisecond
	for {
		err := write()
		if !store.Unreachable(err) {
			return err
		}
		s.Log.WarnContext(ctx, "the result is not written yet; trying again", "run_id", id, "error", err)
		if _, rerr := s.Store.Run(ctx, id); store.Unreachable(rerr) && working.Err() == nil {
			deadline.Reset(2 * s.TTL)
		}
		select {
		case <-deadline.C:
			return err
		case <-time.After(pause):
			pause = min(2*pause, time.Second)
		}
	}
}

func (s *Service) giveBack(ctx context.Context, r store.Run, res *Result) error {
	stopping := errors.Is(res.Err, errStopping)
	if !stopping && r.TransientCount >= run.MaxTransient {
		*res = Result{State: run.Blocked, Reason: run.EndDependency, Explanation: "something outside kept failing: " + res.Err.Error(), Evidence: res.Evidence}
		return s.Store.EndRun(ctx, r.ID, r.Fence, store.End{State: res.State, Reason: res.Reason, Explanation: res.Explanation, Evidence: res.Evidence})
	}
	g := store.GiveBack{Reason: "dependency", Explanation: res.Err.Error(), Transient: !stopping, Evidence: res.Evidence}
	if stopping {
		g.Reason = "shutdown"
	} else {
		g.Delay = run.TransientDelay(int(r.TransientCount), res.RetryAfter)
	}
	return s.Store.GiveBack(ctx, r.ID, r.Fence, g)
}

// tell rings the publisher and says what happened. The doorbell may be lost: the sweeper rings again.
func (s *Service) tell(ctx context.Context, r store.Run, res Result) {
	switch {
	case res.Err != nil:
		s.Counters.AttemptEnded(ctx, telemetry.AttemptGivenBack)
		s.Counters.Retry(ctx, telemetry.RetryTransient)
		s.Counters.Throttled(ctx, telemetry.ThrottleDependency)
		s.Log.WarnContext(ctx, "run given back", "error", res.Err)
		s.emit(ctx, "run.waiting", r, Result{Reason: "dependency", Explanation: res.Err.Error()})
	case res.State == run.Fixed:
		s.Counters.AttemptEnded(ctx, telemetry.AttemptFixed)
		s.Log.InfoContext(ctx, "fix verified", "fixer", res.Fix.Fixer, "digest", res.Fix.Digest)
		s.ringPublisher(ctx, r)
		s.emit(ctx, "run.fixed", r, res)
	default:
		s.Counters.AttemptEnded(ctx, telemetry.Outcome(res.State))
		if res.State == run.Declined {
			s.Counters.RunSkipped(ctx, telemetry.SkipDecline)
		}
		s.Counters.RunEnded(ctx, telemetry.Ending(res.State))
		s.Counters.EndedWithoutPullRequest(ctx, res.Reason, res.Fingerprint != "")
		s.Log.InfoContext(ctx, "run ended", "state", res.State, "reason", res.Reason, "explanation", res.Explanation)
		s.emit(ctx, "run."+string(res.State), r, res)
	}
}

func (s *Service) ringPublisher(ctx context.Context, r store.Run) {
	repo := r.Failure.Repository
	subject := streams.FixSubject(r.Failure.Provider, repo.Owner, repo.Name)
	if err := s.Bell.Ring(ctx, streams.TypeFix, subject, r.ID, r.Fence, r.Rings); err != nil {
		s.Log.WarnContext(ctx, "publisher not rung; it will be rung again", "run_id", r.ID, "error", err)
	}
}

func (s *Service) emit(ctx context.Context, kind string, r store.Run, res Result) {
	repo := r.Failure.Repository
	s.Bell.Emit(ctx, streams.Event{
		Kind: kind, Provider: r.Failure.Provider, Owner: repo.Owner, Name: repo.Name,
		RunID: r.ID, Attempt: int(r.AttemptCount), Reason: res.Reason, Detail: res.Explanation,
	})
}
