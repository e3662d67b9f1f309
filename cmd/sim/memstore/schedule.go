package memstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// due lists a repository's waiting runs that are due by a time, the oldest first.
func (s *Store) due(repo int64, by time.Time) []*db.Run {
	var out []*db.Run
	for _, r := range s.runs {
		if r.RepositoryID == repo && run.State(r.State) == run.Waiting && !r.NotBefore.After(by) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *db.Run) int { return cmp.Or(a.NotBefore.Compare(*b.NotBefore), cmp.Compare(a.ID, b.ID)) })
	return out
}

func (s *Store) free(repo int64, limit int) int {
	if s.off[guard.StoreLimit] {
		return 1 << 30
	}
	return max(0, s.slots(repo, limit)-s.count(repo, run.Ready, run.Running))
}

// RingDue is store.Store.RingDue. Who is first among the repositories is whoever's first run was due first.
func (s *Store) RingDue(_ context.Context, perRepository int, n int32) ([]store.Run, error) {
	defer s.lock()()
	s.slotLimit = perRepository
	now := s.now()
	var lanes [][]*db.Run
	for i, p := range s.repos {
		if i > 0 && s.off[guard.StoreTurn] {
			break
		}
		if lane := s.due(p.ID, now); len(lane) > 0 {
			lanes = append(lanes, lane[:min(len(lane), s.free(p.ID, perRepository))])
		}
	}
	lanes = slices.DeleteFunc(lanes, func(l []*db.Run) bool { return len(l) == 0 })
	slices.SortStableFunc(lanes, func(a, b []*db.Run) int { return a[0].NotBefore.Compare(*b[0].NotBefore) })
	var rung []*db.Run
	for nth := 0; len(rung) < int(n); nth++ {
		before := len(rung)
		for _, lane := range lanes {
			if nth < len(lane) && len(rung) < int(n) {
				rung = append(rung, lane[nth])
			}
		}
		if len(rung) == before {
			break
		}
	}
	for _, r := range rung {
		r.State, r.Reason = string(run.Ready), ""
		ring(r, now)
	}
	return s.views(rung), nil
}

// Startable are the runs that could start now: of each repository with a free slot, the one that is due first.
func (s *Store) Startable(perRepository int) (ids []int64) {
	defer s.lock()()
	now := s.now()
	for _, p := range s.repos {
		if s.count(p.ID, run.Ready, run.Running) >= s.slots(p.ID, perRepository) {
			continue
		}
		if lane := s.due(p.ID, now); len(lane) > 0 {
			ids = append(ids, lane[0].ID)
		}
	}
	return ids
}

func ring(r *db.Run, now time.Time) {
	r.RungAt, r.UpdatedAt = ptr(now), now
	r.Rings++
}

// MendTurns is store.Store.MendTurns: nothing here can lose a turn.
func (s *Store) MendTurns(context.Context, int) (int64, error) { return 0, nil }

// RingAgain is store.Store.RingAgain.
func (s *Store) RingAgain(_ context.Context, older time.Duration, n int32) ([]store.Run, error) {
	defer s.lock()()
	if s.off[guard.StoreRingAgain] {
		return nil, nil
	}
	now := s.now()
	rows := s.sorted(n, func(r *db.Run) *time.Time { return r.RungAt }, func(r *db.Run) bool {
		return run.State(r.State) == run.Ready && r.RungAt.Before(now.Add(-micros(older)))
	})
	for _, r := range rows {
		ring(r, now)
	}
	return s.views(rows), nil
}

// RingFixed is store.Store.RingFixed.
func (s *Store) RingFixed(_ context.Context, older time.Duration, n int32) ([]store.Run, error) {
	defer s.lock()()
	if s.off[guard.StoreRingFixed] {
		return nil, nil
	}
	now := s.now()
	rows := s.sorted(n, func(r *db.Run) *time.Time { return r.NotBefore }, func(r *db.Run) bool {
		return run.State(r.State) == run.Fixed && !r.NotBefore.After(now) && !s.paused(r.RepositoryID) && (r.RungAt == nil || r.RungAt.Before(now.Add(-micros(older))))
	})
	for _, r := range rows {
		ring(r, now)
	}
	return s.views(rows), nil
}

// sorted lists at most n rows that are wanted, by a time.
func (s *Store) sorted(n int32, by func(*db.Run) *time.Time, want func(*db.Run) bool) []*db.Run {
	var rows []*db.Run
	for _, r := range s.runs {
		if want(r) {
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b *db.Run) int { return by(a).Compare(*by(b)) })
	return rows[:min(len(rows), int(n))]
}

// NextDue is store.Store.NextDue. A repository without a free slot has no turn.
func (s *Store) NextDue(context.Context) (time.Duration, error) {
	defer s.lock()()
	now := s.now()
	next := time.Duration(-1)
	found := false
	for _, r := range s.runs {
		st := run.State(r.State)
		fixed := st == run.Fixed && r.NotBefore.After(now)
		if !fixed && (st != run.Waiting || s.free(r.RepositoryID, s.slotLimit) == 0) {
			continue
		}
		if d := r.NotBefore.Sub(now); !found || d < next {
			next, found = d, true
		}
	}
	if !found {
		return time.Hour, nil
	}
	return next, nil
}

// TakeBack is store.Store.TakeBack.
func (s *Store) TakeBack(_ context.Context, limits run.Limits, n int32) ([]store.Run, error) {
	defer s.lock()()
	if s.off[guard.StoreTakeBack] {
		return nil, nil
	}
	now := s.now()
	if !s.started.Add(limits.Lease).Before(now) {
		return []store.Run{}, nil
	}
	rows := s.sorted(n, func(r *db.Run) *time.Time { return r.LeaseExpiresAt }, func(r *db.Run) bool {
		return r.LeaseExpiresAt != nil && r.LeaseExpiresAt.Before(now)
	})
	for _, r := range rows {
		s.takeBack(r, limits, now)
	}
	return s.views(rows), nil
}

func (s *Store) takeBack(r *db.Run, limits run.Limits, now time.Time) {
	if run.State(r.State) == run.Publishing {
		s.giveBackPublication(r, store.GiveBack{Explanation: "the publisher stopped without a word"})
		return
	}
	if a := s.openAttempt(r.ID, r.Fence); a != nil {
		endAttempt(a, "crashed", "lease_expired", nil, now)
	}
	made := int(r.AttemptCount - r.AttemptsForgiven)
	if made >= limits.MaxAttempts && s.off.On(guard.StoreAttempts) {
		s.endRun(r, store.End{
			State: run.Blocked, Reason: run.EndMaxAttempts,
			Explanation: fmt.Sprintf("%d attempts were made and each one stopped without a result", r.AttemptCount),
		})
		return
	}
	cooldown, backoff := r.AttemptStartedAt.Add(limits.Cooldown), now.Add(limits.Backoff(made))
	r.State, r.Reason, r.NotBefore = string(run.Waiting), run.WaitBackoff, ptr(backoff)
	if cooldown.After(backoff) {
		r.Reason, r.NotBefore = run.WaitCooldown, ptr(cooldown)
	}
	if s.off[guard.StoreRest] {
		r.NotBefore = ptr(now)
	}
	r.AttemptEndedAt = ptr(now)
	release(r, now)
}
