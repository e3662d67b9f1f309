package world

import (
	"context"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

func (s storeOf) RecordEnd(ctx context.Context, d store.Delivery, outcome, reason string) (store.Record, error) {
	return call(ctx, s.p, op{dep: pg, name: "record " + d.ID + " " + outcome}, func() (store.Record, error) {
		return s.p.w.store.RecordEnd(ctx, d, outcome, reason)
	})
}

func (s storeOf) RecordFailure(ctx context.Context, d store.Delivery, f ci.Failure, start store.Start, traceParent string) (store.Record, error) {
	return call(ctx, s.p, op{dep: pg, name: "record " + d.ID}, func() (store.Record, error) {
		rec, err := s.p.w.store.RecordFailure(ctx, d, f, start, traceParent)
		if err == nil && rec.Outcome == store.OutcomeRun && !rec.Known {
			s.p.w.checkOn(rec.RunID)
		}
		return rec, err
	})
}

func (s storeOf) RecordSuccess(ctx context.Context, d store.Delivery, f ci.Failure) (store.Record, error) {
	return call(ctx, s.p, op{dep: pg, name: "record " + d.ID + " success"}, func() (store.Record, error) {
		return s.p.w.store.RecordSuccess(ctx, d, f)
	})
}

// RecordNudge ignores it: no pull request is watched here.
func (s storeOf) RecordNudge(ctx context.Context, d store.Delivery, _ store.Nudge) (store.Record, error) {
	return s.RecordEnd(ctx, d, store.OutcomeIgnored, store.ReasonNotOurs)
}

func (s storeOf) KnownDeliveries(ctx context.Context, provider string, ids []string) (map[string]bool, error) {
	return call(ctx, s.p, op{dep: pg, name: "known deliveries"}, func() (map[string]bool, error) { return s.p.w.store.KnownDeliveries(ctx, provider, ids) })
}

func (s storeOf) Checkpoint(ctx context.Context, name string) (int64, error) {
	return call(ctx, s.p, op{dep: pg, name: "checkpoint"}, func() (int64, error) { return s.p.w.store.Checkpoint(ctx, name) })
}

func (s storeOf) SetCheckpoint(ctx context.Context, name string, position int64) error {
	return s.p.step(ctx, op{dep: pg, name: fmt.Sprint("set checkpoint ", position)}, func() error { return s.p.w.store.SetCheckpoint(ctx, name, position) })
}

func (s storeOf) RingDue(ctx context.Context, perRepository int, n int32) ([]store.Run, error) {
	return call(ctx, s.p, op{dep: pg, name: "ring due"}, func() ([]store.Run, error) {
		rung, err := s.p.w.store.RingDue(ctx, perRepository, n)
		s.p.w.checkPaused("rung", rung...)
		return rung, err
	})
}

func (s storeOf) MendTurns(ctx context.Context, perRepository int) (int64, error) {
	return call(ctx, s.p, op{dep: pg, name: "mend turns"}, func() (int64, error) { return s.p.w.store.MendTurns(ctx, perRepository) })
}

func (s storeOf) RingAgain(ctx context.Context, older time.Duration, n int32) ([]store.Run, error) {
	return call(ctx, s.p, op{dep: pg, name: "ring again"}, func() ([]store.Run, error) { return s.p.w.store.RingAgain(ctx, older, n) })
}

func (s storeOf) RingFixed(ctx context.Context, older time.Duration, n int32) ([]store.Run, error) {
	return call(ctx, s.p, op{dep: pg, name: "ring fixed"}, func() ([]store.Run, error) {
		rung, err := s.p.w.store.RingFixed(ctx, older, n)
		s.p.w.checkPaused("rung for its fix", rung...)
		return rung, err
	})
}

func (s storeOf) TakeBack(ctx context.Context, limits run.Limits, n int32) ([]store.Run, error) {
	return call(ctx, s.p, op{dep: pg, name: "take back"}, func() ([]store.Run, error) {
		taken, err := s.p.w.store.TakeBack(ctx, limits, n)
		for _, r := range taken {
			s.p.w.attemptEnded(r.ID, false)
		}
		return taken, err
	})
}

func (s storeOf) NextDue(ctx context.Context) (time.Duration, error) {
	return call(ctx, s.p, op{dep: pg, name: "next due"}, func() (time.Duration, error) { return s.p.w.store.NextDue(ctx) })
}

func (s storeOf) ClaimRun(ctx context.Context, c store.Claim) (claimed store.Run, refused string, err error) {
	err = s.p.step(ctx, op{dep: pg, name: fmt.Sprintf("claim run %d fence %d", c.RunID, c.Fence)}, func() error {
		before, _ := s.p.w.store.Peek(c.RunID)
		claimed, refused, err = s.p.w.store.ClaimRun(ctx, c)
		if err == nil && refused == "" {
			s.p.w.claimed(before, claimed, c.Fence)
		}
		return err
	})
	return claimed, refused, err
}

func (s storeOf) ClaimPublication(ctx context.Context, id, fence int64, holder string, ttl time.Duration) (claimed store.Run, refused string, err error) {
	err = s.p.step(ctx, op{dep: pg, name: fmt.Sprintf("claim publication %d fence %d", id, fence)}, func() error {
		before, _ := s.p.w.store.Peek(id)
		claimed, refused, err = s.p.w.store.ClaimPublication(ctx, id, fence, holder, ttl)
		if err == nil && refused == "" {
			s.p.w.wrote("claim publication", before, fence)
			s.p.w.checkPaused("taken up for publishing", claimed)
			s.p.w.seen.taken[id] = time.Now()
			s.p.w.forgetLimit(claimed)
		}
		return err
	})
	return claimed, refused, err
}

// write is a write that names a fence: when it is accepted, the fence has to be the highest one.
func (s storeOf) write(ctx context.Context, name string, id, fence int64, beat bool, f func() error) error {
	return s.p.step(ctx, op{dep: pg, name: fmt.Sprintf("%s %d fence %d", name, id, fence), beat: beat}, func() error {
		before, _ := s.p.w.store.Peek(id)
		err := f()
		if err == nil {
			s.p.w.wrote(name, before, fence)
		}
		return err
	})
}

func (s storeOf) Defer(ctx context.Context, id, fence int64, reason string, delay time.Duration) error {
	return s.write(ctx, "defer", id, fence, false, func() error { return s.p.w.store.Defer(ctx, id, fence, reason, delay) })
}

func (s storeOf) Renew(ctx context.Context, id, fence int64, holder string, ttl time.Duration) error {
	return s.write(ctx, "renew", id, fence, true, func() error { return s.p.w.store.Renew(ctx, id, fence, holder, ttl) })
}

func (s storeOf) EndRun(ctx context.Context, id, fence int64, e store.End) error {
	return s.write(ctx, "end run", id, fence, false, func() error {
		err := s.p.w.store.EndRun(ctx, id, fence, e)
		if err == nil {
			s.p.w.attemptEnded(id, false)
		}
		return err
	})
}

func (s storeOf) SaveFix(ctx context.Context, id, fence int64, f store.Fix) error {
	return s.write(ctx, "save fix", id, fence, false, func() error {
		err := s.p.w.store.SaveFix(ctx, id, fence, f)
		if err == nil {
			s.p.w.attemptEnded(id, false)
			s.p.w.saved(id, f)
		}
		return err
	})
}

func (s storeOf) GiveBack(ctx context.Context, id, fence int64, g store.GiveBack) error {
	return s.write(ctx, "give back", id, fence, false, func() error {
		err := s.p.w.store.GiveBack(ctx, id, fence, g)
		if err == nil {
			s.p.w.attemptEnded(id, true)
		}
		return err
	})
}

func (s storeOf) Publication(ctx context.Context, id int64) (*db.Publication, error) {
	return call(ctx, s.p, op{dep: pg, name: "publication"}, func() (*db.Publication, error) { return s.p.w.store.Publication(ctx, id) })
}

func (s storeOf) Intend(ctx context.Context, id, fence int64, i store.Intent) (p db.Publication, err error) {
	err = s.write(ctx, "intend", id, fence, false, func() error {
		var err error
		p, err = s.p.w.store.Intend(ctx, id, fence, i)
		if err == nil {
			s.p.w.intended(p)
		}
		return err
	})
	return p, err
}

func (s storeOf) Pushed(ctx context.Context, id, fence int64) error {
	return s.write(ctx, "pushed", id, fence, false, func() error { return s.p.w.store.Pushed(ctx, id, fence) })
}

func (s storeOf) Publish(ctx context.Context, id, fence int64, r store.Receipt, e store.End) error {
	return s.write(ctx, "publish "+r.State, id, fence, false, func() error { return s.p.w.store.Publish(ctx, id, fence, r, e) })
}

func (s storeOf) Refuse(ctx context.Context, id, fence int64, e store.End, closedPR string) error {
	return s.write(ctx, "refuse "+e.Reason, id, fence, false, func() error { return s.p.w.store.Refuse(ctx, id, fence, e, closedPR) })
}

func (s storeOf) Refused(ctx context.Context, fingerprint string) (string, error) {
	return call(ctx, s.p, op{dep: pg, name: "refused"}, func() (string, error) { return s.p.w.store.Refused(ctx, fingerprint) })
}

func (s storeOf) SwitchedOff(ctx context.Context, id int64) (*db.Switch, error) {
	return call(ctx, s.p, op{dep: pg, name: fmt.Sprint("switch of run ", id)}, func() (*db.Switch, error) { return s.p.w.store.SwitchedOff(ctx, id) })
}

func (s storeOf) RepositoryMode(ctx context.Context, repository int64) (string, error) {
	return call(ctx, s.p, op{dep: pg, name: fmt.Sprint("mode of repository ", repository)}, func() (string, error) {
		return s.p.w.store.RepositoryMode(ctx, repository)
	})
}

func (s storeOf) ClosedPublications(ctx context.Context, fingerprint string, n int32) ([]db.Publication, error) {
	return call(ctx, s.p, op{dep: pg, name: "closed publications"}, func() ([]db.Publication, error) {
		return s.p.w.store.ClosedPublications(ctx, fingerprint, n)
	})
}

func (s storeOf) Merged(ctx context.Context, fingerprint string) (int64, error) {
	return call(ctx, s.p, op{dep: pg, name: "merged"}, func() (int64, error) { return s.p.w.store.Merged(ctx, fingerprint) })
}

func (s storeOf) SetPRState(ctx context.Context, p db.Publication, state string) error {
	return s.p.step(ctx, op{dep: pg, name: fmt.Sprintf("pull request of %d is %s", p.RunID, state)}, func() error { return s.p.w.store.SetPRState(ctx, p, state) })
}

func (s storeOf) GiveBackPublication(ctx context.Context, id, fence int64, g store.GiveBack) error {
	return s.write(ctx, "give back publication", id, fence, false, func() error {
		err := s.p.w.store.GiveBackPublication(ctx, id, fence, g)
		if err == nil {
			s.p.w.heard(s.p, id)
			s.p.w.putOff(g)
		}
		return err
	})
}
