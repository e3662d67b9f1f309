package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Run is store.Store.Run.
func (s *Store) Run(_ context.Context, id int64) (store.Run, error) {
	defer s.lock()()
	r, err := s.row(id)
	if err != nil {
		return store.Run{}, err
	}
	return s.view(r), nil
}

// ClaimRun is store.Store.ClaimRun.
func (s *Store) ClaimRun(_ context.Context, c store.Claim) (claimed store.Run, refused string, err error) {
	defer s.lock()()
	r, err := s.row(c.RunID)
	if err != nil {
		return store.Run{}, store.RefusedStale, nil // as the real one: an unknown run is a stale doorbell
	}
	if s.off.On(guard.StoreLimit) && s.count(r.RepositoryID, run.Running) >= s.slots(r.RepositoryID, c.Limits.PerRepository) {
		return store.Run{}, store.RefusedNoSlot, nil
	}
	if s.held(c.RunID, c.Fence, run.Ready) == nil || !s.mayStart(r, c.Limits) {
		return store.Run{}, store.RefusedStale, nil
	}
	now := s.now()
	r.State, r.Reason, r.NotBefore, r.UpdatedAt = string(run.Running), "", nil, now
	r.Fence++
	r.AttemptCount++
	r.Holder, r.LeaseExpiresAt = ptr(c.Holder), ptr(now.Add(micros(c.TTL)))
	r.AttemptStartedAt, r.AttemptEndedAt = ptr(now), nil
	s.attempts = append(s.attempts, &db.Attempt{RunID: r.ID, Fence: r.Fence, Number: ptr(r.AttemptCount), Holder: c.Holder, StartedAt: now})
	return s.view(r), "", nil
}

func (s *Store) mayStart(r *db.Run, l run.Limits) bool {
	made := int(r.AttemptCount - r.AttemptsForgiven)
	if made >= l.MaxAttempts && s.off.On(guard.StoreAttempts) {
		return false
	}
	if r.AttemptStartedAt == nil || s.off[guard.StoreRest] {
		return true
	}
	now := s.now()
	return !now.Before(r.AttemptStartedAt.Add(l.Cooldown)) && r.AttemptEndedAt != nil && !now.Before(r.AttemptEndedAt.Add(l.Backoff(max(1, made))))
}

// Defer is store.Store.Defer.
func (s *Store) Defer(_ context.Context, id, fence int64, reason string, delay time.Duration) error {
	defer s.lock()()
	r := s.held(id, fence, run.Ready)
	if r == nil {
		return store.ErrFenced
	}
	now := s.now()
	r.State, r.Reason, r.NotBefore, r.UpdatedAt = string(run.Waiting), reason, ptr(now.Add(micros(delay))), now
	return nil
}

// Renew is store.Store.Renew.
func (s *Store) Renew(_ context.Context, id, fence int64, holder string, ttl time.Duration) error {
	defer s.lock()()
	r := s.held(id, fence, run.Running, run.Publishing)
	now := s.now()
	if s.off[guard.HeartbeatLost] && (r == nil || r.Holder == nil || *r.Holder != holder) {
		return nil
	}
	if r == nil || *r.Holder != holder || !r.LeaseExpiresAt.After(now) {
		return store.ErrFenced
	}
	r.LeaseExpiresAt = ptr(now.Add(micros(ttl)))
	return nil
}

// EndRun is store.Store.EndRun.
func (s *Store) EndRun(_ context.Context, id, fence int64, e store.End) error {
	defer s.lock()()
	a, r := s.openAttempt(id, fence), s.held(id, fence, run.Running, run.Publishing)
	if a == nil || r == nil {
		return store.ErrFenced
	}
	endAttempt(a, string(e.State), e.Reason, e.Evidence, s.now())
	s.endRun(r, e)
	return nil
}

func (s *Store) endRun(r *db.Run, e store.End) {
	now := s.now()
	end(r, e.State, e.Reason, e.Explanation, now)
	if e.Fingerprint != "" {
		r.Fingerprint = ptr(e.Fingerprint)
	}
	if r.AttemptEndedAt == nil {
		r.AttemptEndedAt = ptr(now)
	}
}

// SaveFix is store.Store.SaveFix.
func (s *Store) SaveFix(_ context.Context, id, fence int64, f store.Fix) error {
	defer s.lock()()
	a, r := s.openAttempt(id, fence), s.held(id, fence, run.Running)
	if a == nil || r == nil {
		return store.ErrFenced
	}
	key := generation{id, r.Generation}
	if s.fixes[key] != nil {
		return fmt.Errorf("save fix: run %d has one in generation %d", id, r.Generation)
	}
	now := s.now()
	endAttempt(a, "fixed", "", f.Evidence, now)
	diff := f.Diff
	if s.off[guard.StoreDigest] {
		diff = append([]byte("tampered "), diff...)
	}
	s.fixes[key] = &db.Fix{
		RunID: id, Generation: r.Generation, Fence: r.Fence, BaseCommit: f.BaseCommit, Diff: diff, Digest: f.Digest, Fixer: f.Fixer, Title: f.Title, Trouble: f.Trouble,
		Evidence: a.Evidence, CreatedAt: now,
	}
	if s.off[guard.StoreDigest] {
		s.fixes[key].Digest = digest(diff)
	}
	r.State, r.Reason, r.Explanation, r.Fingerprint = string(run.Fixed), "", f.Explanation, ptr(f.Fingerprint)
	r.AttemptEndedAt, r.NotBefore, r.RungAt = ptr(now), ptr(now), ptr(now)
	release(r, now)
	return nil
}

// GiveBack is store.Store.GiveBack.
func (s *Store) GiveBack(_ context.Context, id, fence int64, g store.GiveBack) error {
	defer s.lock()()
	a, r := s.openAttempt(id, fence), s.held(id, fence, run.Running)
	if a == nil || r == nil {
		return store.ErrFenced
	}
	now := s.now()
	r.State, r.Reason, r.Explanation, r.NotBefore = string(run.Waiting), run.WaitDependency, g.Explanation, ptr(now.Add(micros(g.Delay)))
	r.AttemptCount--
	if g.Transient {
		r.TransientCount++
	}
	r.AttemptStartedAt, r.AttemptEndedAt = nil, nil
	for _, p := range s.attempts {
		if p.RunID == id && p.Number != nil && *p.Number == r.AttemptCount && *p.Number > r.AttemptsForgiven {
			r.AttemptStartedAt, r.AttemptEndedAt = ptr(p.StartedAt), p.EndedAt
		}
	}
	release(r, now)
	endAttempt(a, "given_back", g.Reason, g.Evidence, now)
	a.Number = nil
	return nil
}
