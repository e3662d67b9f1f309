package publisher

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/streams"
)

// Rerunner is a CI provider that can be asked to run what failed once more.
type Rerunner interface {
	CIRun(ctx context.Context, owner, name, runID string) (forge.CIRun, error)
	RerunFailed(ctx context.Context, owner, name, runID string) error
}

// RerunStore is what Reruns needs of the judge.
type RerunStore interface {
	Run(ctx context.Context, id int64) (store.Run, error)
	ClaimRerun(ctx context.Context, ttl time.Duration) (*db.Rerun, error)
	IntendRerun(ctx context.Context, r db.Rerun, attempt int) error
	DelayRerun(ctx context.Context, r db.Rerun, reason string, delay time.Duration) error
	EndRerun(ctx context.Context, r db.Rerun, state, reason string) error
}

// Reruns asks providers to run failures again that the code is not to blame for: each run of ours once, for ever.
type Reruns struct {
	Store RerunStore
	// Providers are those that can be asked, by the name that their failures have.
	Providers map[string]Rerunner
	Events    Emitter
	Log       *slog.Logger
	Redact    func(string) string
}

const (
	// rerunEvery is the rest between two looks: it is also the most that one publisher asks for.
	rerunEvery = 2 * time.Second
	// rerunLease is longer than a look and a question may take, so that nobody else asks meanwhile.
	rerunLease, rerunTime = 3 * time.Minute, 2 * time.Minute
	// rerunLag is how long a provider may take to show what it was asked for.
	rerunLag = time.Minute
	// maxAsks is how often a provider is asked that does nothing; maxLooks, with the growing rests, is about a day.
	maxAsks, maxLooks = 3, 150
)

// Why a provider is not asked, or not again.
const (
	// RerunNoProvider: nobody here can ask this provider.
	RerunNoProvider = "rerun_unsupported"
	// RerunOtherCommit: what has the run's number there is not about the commit that failed.
	RerunOtherCommit = "rerun_other_commit"
	// RerunAlready: somebody else had it run again.
	RerunAlready = "rerun_already"
	// RerunGreen: it passed meanwhile.
	RerunGreen = "rerun_green"
	// RerunStillRunning: it has not ended yet; failed jobs can be run again only then.
	RerunStillRunning = "rerun_still_running"
	// RerunNoEffect: the provider took the question and did nothing.
	RerunNoEffect = "rerun_no_effect"
	// RerunGaveUp: it could not be found out, or not asked, for a day.
	RerunGaveUp = "rerun_gave_up"
)

// Loop looks for wishes until ctx ends.
func (s *Reruns) Loop(ctx context.Context) {
	timer := time.NewTicker(rerunEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := s.RunOnce(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "no rerun was asked for", "error", s.Redact(err.Error()))
		}
	}
}

// RunOnce sees to the wish that has been due for longest. It looks at the provider before it asks, each time:
//
//	died before the intent       nothing was asked; begin again
//	died before the question     the run is at the attempt of the intent; ask
//	died after the question      the attempt grew: it was asked
//	reply of the question lost   as if died after it; the provider gets a while to show it
//	died after the end's commit  the row has moved on
func (s *Reruns) RunOnce(ctx context.Context) error {
	wish, err := s.Store.ClaimRerun(ctx, rerunLease)
	if err != nil || wish == nil {
		return err
	}
	r, err := s.Store.Run(ctx, wish.RunID)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, rerunTime)
	defer cancel()
	step, err := s.see(bounded, *wish, r.Failure)
	if errors.Is(err, store.ErrFenced) {
		return nil
	}
	if err == nil {
		return s.settle(context.WithoutCancel(ctx), *wish, r, step)
	}
	if ctx.Err() != nil {
		return nil // the lease runs out, and the next look finds out
	}
	if reason, permanent := fault.Reason(err); permanent {
		s.Log.WarnContext(ctx, "the provider refuses to run it again", "run_id", r.ID, "error", s.Redact(err.Error()))
		return s.settle(ctx, *wish, r, rerunStep{state: store.RerunRefused, reason: reason})
	}
	s.Log.WarnContext(ctx, "the provider was not asked, or did not answer", "run_id", r.ID, "error", s.Redact(err.Error()))
	delay := max(rerunLag, run.TransientDelay(int(wish.Looks), fault.RetryAfter(err)))
	return s.settle(ctx, *wish, r, rerunStep{reason: run.WaitDependency, delay: delay})
}

// rerunStep is what to do about a wish: ask, or wait, or end it.
type rerunStep struct {
	ask    bool
	state  string // not empty for an end
	reason string
	delay  time.Duration
}

// see looks at the provider's run and asks, if that is right.
func (s *Reruns) see(ctx context.Context, wish db.Rerun, f ci.Failure) (rerunStep, error) {
	provider := s.Providers[f.Provider]
	if provider == nil {
		return rerunStep{state: store.RerunRefused, reason: RerunNoProvider}, nil
	}
	repo := f.Repository
	now, err := provider.CIRun(ctx, repo.Owner, repo.Name, f.RunID)
	if err != nil {
		return rerunStep{}, err
	}
	step := decideRerun(wish, f, now)
	if !step.ask {
		return step, nil
	}
	if err := s.Store.IntendRerun(ctx, wish, now.Attempt); err != nil {
		return rerunStep{}, err
	}
	err = provider.RerunFailed(ctx, repo.Owner, repo.Name, f.RunID)
	if _, permanent := fault.Reason(err); permanent {
		// It refuses also what it has begun: an earlier question of ours may show only now.
		if later, lookErr := provider.CIRun(ctx, repo.Owner, repo.Name, f.RunID); lookErr == nil && wish.Asks > 0 && later.Attempt > now.Attempt {
			err = nil
		}
	}
	return rerunStep{state: store.RerunAsked}, err
}

// decideRerun says what to do about a wish, by the provider's run as it is now.
func decideRerun(wish db.Rerun, f ci.Failure, now forge.CIRun) rerunStep {
	no := func(reason string) rerunStep { return rerunStep{state: store.RerunRefused, reason: reason} }
	switch {
	case !strings.EqualFold(now.Commit, f.Commit):
		return no(RerunOtherCommit)
	case wish.Attempt != nil && now.Attempt > int(*wish.Attempt):
		return rerunStep{state: store.RerunAsked}
	case wish.Attempt == nil && now.Attempt > f.RunAttempt:
		return no(RerunAlready)
	case now.Completed && now.Passed:
		return no(RerunGreen)
	case wish.Looks > maxLooks && !now.Completed:
		return no(RerunStillRunning)
	case wish.Looks > maxLooks:
		return no(RerunGaveUp)
	case !now.Completed:
		return rerunStep{reason: RerunStillRunning, delay: run.TransientDelay(int(wish.Looks)+3, 0)}
	case wish.Asks >= maxAsks:
		return no(RerunNoEffect)
	}
	return rerunStep{ask: true}
}

// settle writes what became of a look.
func (s *Reruns) settle(ctx context.Context, wish db.Rerun, r store.Run, step rerunStep) error {
	var err error
	if step.state == "" && wish.Looks > maxLooks {
		step = rerunStep{state: store.RerunRefused, reason: RerunGaveUp}
	}
	if step.state == "" {
		err = s.Store.DelayRerun(ctx, wish, step.reason, step.delay)
	} else {
		err = s.Store.EndRerun(ctx, wish, step.state, step.reason)
	}
	if errors.Is(err, store.ErrFenced) {
		return nil
	}
	if err != nil || step.state == "" {
		return err
	}
	s.Log.InfoContext(ctx, "rerun", "run_id", r.ID, "run_key", r.RunKey, "state", step.state, "reason", step.reason)
	repo := r.Failure.Repository
	s.Events.Emit(ctx, streams.Event{
		Kind: "rerun." + step.state, Provider: r.Failure.Provider, Owner: repo.Owner, Name: repo.Name, RunID: r.ID,
		Attempt: int(r.AttemptCount), Reason: step.reason, Detail: wish.Why,
	})
	return nil
}
