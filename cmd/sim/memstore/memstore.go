// Package memstore is the store in memory: the double of internal/store for the simulator.
//
// It promises the same guards as the SQL: each method does in one step what the real one does in one transaction,
// and refuses with the same errors. A test runs random operations on both and compares.
package memstore

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

type deliveryKey struct{ provider, id string }

type generation struct {
	run int64
	gen int32
}

// Store keeps the records in memory. It is safe for concurrent use.
type Store struct {
	mu          sync.Mutex
	clock       func() time.Time
	off         guard.Off
	repos       []*db.Repository
	runs        []*db.Run
	failures    []ci.Failure
	deliveries  []*db.Delivery
	byDelivery  map[deliveryKey]*db.Delivery
	attempts    []*db.Attempt
	fixes       map[generation]*db.Fix
	pubs        []*db.Publication
	byPub       map[generation]*db.Publication
	refusals    map[string]*db.Refusal
	suggestions map[generation]*db.Suggestion
	actions     []db.Action
	settings    map[int64]store.RepositorySettings
	operations  []db.Operation
	switches    []*db.Switch
	checkpoints map[string]int64
	names       map[string]int64     // runs by their further names
	greens      map[string]time.Time // when a pipeline passed, by its names
	slotLimit   int
	started     time.Time
}

// New returns an empty store whose time is the clock's.
func New(clock func() time.Time, off guard.Off) *Store {
	return &Store{
		clock: clock, off: off, byDelivery: map[deliveryKey]*db.Delivery{}, fixes: map[generation]*db.Fix{},
		byPub: map[generation]*db.Publication{}, refusals: map[string]*db.Refusal{}, suggestions: map[generation]*db.Suggestion{}, checkpoints: map[string]int64{}, names: map[string]int64{}, greens: map[string]time.Time{}, settings: map[int64]store.RepositorySettings{}, slotLimit: 1 << 30,
	}
}

// Restart says that the database began anew at a time: holders get the length of a lease to show that they are alive.
func (s *Store) Restart(at time.Time) {
	defer s.lock()()
	s.started = at
}

// now is the time as the database keeps it: in microseconds.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

func ptr[T any](v T) *T { return &v }

// micros rounds a duration as the database does.
func micros(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

func (s *Store) lock() func() {
	s.mu.Lock()
	return s.mu.Unlock
}

func (s *Store) row(id int64) (*db.Run, error) {
	if id < 1 || id > int64(len(s.runs)) {
		return nil, fmt.Errorf("run %d: %w", id, store.ErrNotFound)
	}
	return s.runs[id-1], nil
}

func (s *Store) view(r *db.Run) store.Run { return store.Run{Run: *r, Failure: s.failures[r.ID-1]} }

func (s *Store) views(rows []*db.Run) []store.Run {
	out := make([]store.Run, 0, len(rows))
	for _, r := range rows {
		out = append(out, s.view(r))
	}
	return out
}

// held returns a run if the fence is the row's and its state is one of those given; nil otherwise.
func (s *Store) held(id, fence int64, states ...run.State) *db.Run {
	r, err := s.row(id)
	if err != nil || (r.Fence != fence && s.off.On(guard.StoreFence)) || !slices.Contains(states, run.State(r.State)) {
		return nil
	}
	return r
}

func (s *Store) openAttempt(id, fence int64) *db.Attempt {
	for _, a := range s.attempts {
		if a.RunID == id && a.EndedAt == nil && (a.Fence == fence || s.off[guard.StoreFence]) {
			return a
		}
	}
	return nil
}

func (s *Store) count(repo int64, states ...run.State) int {
	n := 0
	for _, r := range s.runs {
		if r.RepositoryID == repo && slices.Contains(states, run.State(r.State)) {
			n++
		}
	}
	return n
}

func (s *Store) repository(f ci.Failure) *db.Repository {
	for _, p := range s.repos {
		if p.Provider == f.Provider && p.ExternalID == f.Repository.ID {
			p.Owner, p.Name = f.Repository.Owner, f.Repository.Name
			return p
		}
	}
	p := &db.Repository{ID: int64(len(s.repos) + 1), Provider: f.Provider, ExternalID: f.Repository.ID, Owner: f.Repository.Owner, Name: f.Repository.Name, CreatedAt: s.now()}
	s.repos = append(s.repos, p)
	return p
}

func release(r *db.Run, now time.Time) { r.Holder, r.LeaseExpiresAt, r.UpdatedAt = nil, nil, now }

func end(r *db.Run, state run.State, reason, explanation string, now time.Time) {
	r.State, r.Reason, r.Explanation, r.NotBefore, r.EndedAt = string(state), reason, explanation, nil, ptr(now)
	release(r, now)
}

func endAttempt(a *db.Attempt, outcome, reason string, evidence json.RawMessage, now time.Time) {
	if len(evidence) == 0 {
		evidence = json.RawMessage("{}")
	}
	a.EndedAt, a.Outcome, a.Reason, a.Evidence = ptr(now), ptr(outcome), reason, evidence
}
