package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Claim asks for a rung run.
type Claim struct {
	RunID int64
	// Fence is the one that the doorbell carried.
	Fence  int64
	Holder string
	TTL    time.Duration
	Limits run.Limits
}

// Why a claim may be refused.
const (
	// RefusedStale: the doorbell is old; the run has moved on.
	RefusedStale = "stale"
	// RefusedNoSlot: the repository has as many active runs as it may.
	RefusedNoSlot = "no_slot"
)

// ClaimRun claims a rung run: fence and attempt grow by one, and the lease begins. It returns the refusal's
// name instead when the run is not to be had. Redis may be wiped at any time: the repository's limit is checked
// here too, under the repository row's lock.
func (s *Store) ClaimRun(ctx context.Context, c Claim) (claimed Run, refused string, err error) {
	// In a transaction of ours: a statement that its client has given up may still wait for a lock, and must not be
	// committed when it gets it.
	err = s.inTx(ctx, "claim run", func(q *db.Queries) error {
		row, err := q.ClaimRun(ctx, db.ClaimRunParams{
			ID: c.RunID, Fence: c.Fence, Holder: c.Holder, TtlSeconds: c.TTL.Seconds(), SlotLimit: int32(c.Limits.PerRepository),
			MaxAttempts: int32(c.Limits.MaxAttempts), CooldownSeconds: c.Limits.Cooldown.Seconds(),
			MaxBackoffSeconds: c.Limits.MaxBackoff.Seconds(), BaseBackoffSeconds: c.Limits.BaseBackoff.Seconds(),
		})
		switch {
		case errors.Is(one(err), ErrNotFound):
			refused = RefusedStale
			return nil
		case err != nil:
			return err
		case row.Holder == nil:
			refused = RefusedNoSlot
			return nil
		}
		claimed, err = decodeRun(row)
		return err
	})
	return claimed, refused, err
}

// Defer puts a rung run back to waiting: it could not start now. ErrFenced: it has moved on.
func (s *Store) Defer(ctx context.Context, id, fence int64, reason string, delay time.Duration) error {
	return changed(s.q.DeferRun(ctx, db.DeferRunParams{ID: id, Fence: fence, Reason: reason, DelaySeconds: delay.Seconds()}))
}

// Renew extends the lease of a claimed run. ErrFenced: it is lost, and the holder must stop at once.
func (s *Store) Renew(ctx context.Context, id, fence int64, holder string, ttl time.Duration) error {
	return changed(s.q.RenewLease(ctx, db.RenewLeaseParams{ID: id, Fence: fence, Holder: holder, TtlSeconds: ttl.Seconds(), TraceParent: traceParent(ctx)}))
}

// End is how an attempt ends a run.
type End struct {
	State       run.State
	Reason      string
	Explanation string
	Fingerprint string
	// Evidence is the stages' results as a JSON array.
	Evidence json.RawMessage
	// Rerun says that the provider is to be asked to run it once more; its reason is then infrastructure or flaky.
	Rerun bool
}

// EndRun ends a run from the hands of its runner.
func (s *Store) EndRun(ctx context.Context, id, fence int64, e End) error {
	p := endParams(id, fence, e)
	return s.inTx(ctx, "end run", func(q *db.Queries) error {
		err := changed(q.EndAttemptedRun(ctx, db.EndAttemptedRunParams{
			ID: id, Fence: fence, State: p.State, Reason: p.Reason, Explanation: p.Explanation, Fingerprint: p.Fingerprint, Evidence: evidence(e.Evidence),
		}))
		if err != nil || !e.Rerun {
			return err
		}
		return q.WantRerun(ctx, db.WantRerunParams{RunID: id, Why: e.Reason})
	})
}

func endParams(id, fence int64, e End) db.EndRunParams {
	p := db.EndRunParams{ID: id, Fence: fence, State: string(e.State), Reason: e.Reason, Explanation: e.Explanation}
	if e.Fingerprint != "" {
		p.Fingerprint = &e.Fingerprint
	}
	return p
}

// Fix is a verified patch.
type Fix struct {
	BaseCommit string
	Diff       []byte
	Digest     string
	Fixer      string
	Title      string
	// Explanation is one sentence that a developer of the repository understands.
	Explanation string
	Fingerprint string
	// Trouble is the normalised error alone, wherever it comes up, or empty.
	Trouble  string
	Evidence json.RawMessage
}

// SaveFix ends an attempt with a verified patch and hands the run to the publisher.
func (s *Store) SaveFix(ctx context.Context, id, fence int64, f Fix) error {
	return s.inTx(ctx, "save fix", func(q *db.Queries) error {
		err := changed(q.EndAttempt(ctx, db.EndAttemptParams{
			RunID: id, Fence: fence, Outcome: "fixed", Evidence: evidence(f.Evidence),
		}))
		if err != nil {
			return err
		}
		err = changed(q.SaveFix(ctx, db.SaveFixParams{
			RunID: id, Fence: fence, BaseCommit: f.BaseCommit, Diff: f.Diff, Digest: f.Digest,
			Fixer: f.Fixer, Title: f.Title, Evidence: evidence(f.Evidence), Trouble: f.Trouble,
		}))
		if err != nil {
			return err
		}
		return changed(q.MarkFixed(ctx, db.MarkFixedParams{
			ID: id, Fence: fence, Explanation: f.Explanation, Fingerprint: f.Fingerprint,
		}))
	})
}

// GiveBack hands a run back to waiting without counting an attempt, because something outside failed
// (transient) or because the process is stopping.
func (s *Store) GiveBack(ctx context.Context, id, fence int64, g GiveBack) error {
	return s.inTx(ctx, "give back run", func(q *db.Queries) error {
		err := changed(q.GiveBackRun(ctx, db.GiveBackRunParams{
			ID: id, Fence: fence, Explanation: g.Explanation, DelaySeconds: g.Delay.Seconds(), Transient: g.count(), TraceParent: traceParent(ctx),
		}))
		if err != nil {
			return err
		}
		return changed(q.GiveBackAttempt(ctx, db.GiveBackAttemptParams{
			RunID: id, Fence: fence, Reason: g.Reason, Evidence: evidence(g.Evidence),
		}))
	})
}

// GiveBack says why work was handed back and when it may be tried again.
type GiveBack struct {
	Reason      string
	Explanation string
	Delay       time.Duration
	// Transient counts against run.MaxTransient; a shutdown does not.
	Transient bool
	Evidence  json.RawMessage
}

func (g GiveBack) count() int32 {
	if g.Transient {
		return 1
	}
	return 0
}

func evidence(e json.RawMessage) json.RawMessage {
	if len(e) == 0 {
		return json.RawMessage("{}")
	}
	return e
}
