package memstore

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// RecordEnd is store.Store.RecordEnd.
func (s *Store) RecordEnd(_ context.Context, d store.Delivery, outcome, reason string) (store.Record, error) {
	defer s.lock()()
	return s.record(d, func() (store.Record, error) { return store.Record{Outcome: outcome, Reason: reason}, nil })
}

// RecordFailure is store.Store.RecordFailure.
func (s *Store) RecordFailure(_ context.Context, d store.Delivery, f ci.Failure, start store.Start, traceParent string) (store.Record, error) {
	defer s.lock()()
	return s.record(d, func() (store.Record, error) {
		if s.off.On(guard.StoreRunKey) {
			if r := s.knownBy(f); len(r) > 0 {
				s.name(r[0].ID, f)
				return store.Record{Outcome: store.OutcomeCoalesced, RunID: r[0].ID}, nil
			}
		}
		if s.offFor(f.Provider, f.Repository.ID) {
			return store.Record{Outcome: store.OutcomeIgnored, Reason: store.ReasonRepositoryOff}, nil
		}
		repo := s.repository(f)
		body, err := json.Marshal(f)
		if err != nil {
			return store.Record{}, err
		}
		now := s.now()
		r := &db.Run{
			ID: int64(len(s.runs) + 1), RunKey: f.RunKey(), RepositoryID: repo.ID, Failure: body, State: string(run.Waiting), Reason: start.Reason,
			NotBefore: ptr(now.Add(micros(start.Delay))), Generation: 1, TraceParent: traceParent, CreatedAt: now, UpdatedAt: now,
		}
		s.runs, s.failures = append(s.runs, r), append(s.failures, f)
		s.name(r.ID, f)
		rec := store.Record{Outcome: store.OutcomeRun, RunID: r.ID}
		for _, name := range f.Known() {
			if at, ok := s.greens[name]; ok && !at.Before(finished(d, f)) && r.State == string(run.Waiting) {
				s.green(r)
				rec.Superseded = []int64{r.ID}
			}
		}
		return rec, nil
	})
}

// RecordSuccess is store.Store.RecordSuccess.
func (s *Store) RecordSuccess(_ context.Context, d store.Delivery, f ci.Failure) (store.Record, error) {
	defer s.lock()()
	return s.record(d, func() (store.Record, error) {
		rec := store.Record{Outcome: store.OutcomeIgnored, Reason: "success"}
		for _, name := range f.Names() {
			if finished(d, f).After(s.greens[name]) {
				s.greens[name] = finished(d, f)
			}
		}
		for _, r := range s.knownBy(f) {
			if open := r.State == string(run.Waiting) || r.State == string(run.Ready); open && !s.failedAt(r).After(finished(d, f)) {
				s.green(r)
				rec.Superseded = append(rec.Superseded, r.ID)
			}
		}
		return rec, nil
	})
}

func (s *Store) green(r *db.Run) {
	now := s.now()
	r.State, r.Reason, r.NotBefore, r.EndedAt, r.UpdatedAt = string(run.Superseded), store.ReasonGreen, nil, ptr(now), now
	r.Explanation = "the same pipeline passed on this commit later, so there is nothing to mend"
}

// knownBy finds the runs of a failure's pipeline, the oldest first.
func (s *Store) knownBy(f ci.Failure) (found []*db.Run) {
	ids := map[int64]bool{}
	for _, name := range f.Known() {
		ids[s.names[name]] = true
	}
	for _, r := range s.runs {
		if r.RunKey == f.RunKey() || ids[r.ID] {
			found = append(found, r)
		}
	}
	return found
}

func (s *Store) name(id int64, f ci.Failure) {
	for _, name := range f.Claimed() {
		if s.names[name] == 0 {
			s.names[name] = id
		}
	}
}

func (s *Store) failedAt(r *db.Run) time.Time {
	if at := s.failures[r.ID-1].FinishedAt; !at.IsZero() {
		return at
	}
	for _, d := range s.deliveries {
		if d.RunID != nil && *d.RunID == r.ID && d.Outcome == store.OutcomeRun {
			return d.ReceivedAt
		}
	}
	return time.Time{}
}

func finished(d store.Delivery, f ci.Failure) time.Time {
	if f.FinishedAt.IsZero() {
		return d.ReceivedAt
	}
	return f.FinishedAt
}

func (s *Store) record(d store.Delivery, decide func() (store.Record, error)) (store.Record, error) {
	key := deliveryKey{d.Provider, d.ID}
	known := s.byDelivery[key]
	if s.off[guard.StoreDeliveryID] {
		known = nil
	}
	if known != nil && known.Outcome != store.OutcomeDead {
		r := store.Record{Outcome: known.Outcome, Reason: known.Reason, Known: true}
		if known.RunID != nil {
			r.RunID = *known.RunID
		}
		return r, nil
	}
	r := s.sameBody(d)
	if r.Outcome == "" {
		var err error
		if r, err = decide(); err != nil {
			return r, err
		}
	}
	if known == nil {
		known = &db.Delivery{
			ID: int64(len(s.deliveries) + 1), Provider: d.Provider, DeliveryID: d.ID, Event: d.Event, BodySha256: d.BodySHA256, ReceivedAt: d.ReceivedAt,
		}
		s.deliveries = append(s.deliveries, known)
		s.byDelivery[key] = known
	}
	known.Event, known.BodySha256, known.ReceivedAt = d.Event, d.BodySHA256, d.ReceivedAt
	known.Outcome, known.Reason, known.RunID, known.RecordedAt = r.Outcome, r.Reason, nil, s.now()
	if r.RunID != 0 {
		known.RunID = ptr(r.RunID)
	}
	return r, nil
}

func (s *Store) sameBody(d store.Delivery) store.Record {
	for _, o := range s.deliveries {
		if o.Provider == d.Provider && o.BodySha256 == d.BodySHA256 && o.Outcome != store.OutcomeDuplicate && o.Outcome != store.OutcomeDead {
			r := store.Record{Outcome: store.OutcomeDuplicate, Reason: "same_body"}
			if o.RunID != nil {
				r.RunID = *o.RunID
			}
			return r
		}
	}
	return store.Record{}
}

// KnownDeliveries is store.Store.KnownDeliveries.
func (s *Store) KnownDeliveries(_ context.Context, provider string, ids []string) (map[string]bool, error) {
	defer s.lock()()
	known := map[string]bool{}
	for _, id := range ids {
		if s.byDelivery[deliveryKey{provider, id}] != nil {
			known[id] = true
		}
	}
	return known, nil
}

// Checkpoint is store.Store.Checkpoint.
func (s *Store) Checkpoint(_ context.Context, name string) (int64, error) {
	defer s.lock()()
	return s.checkpoints[name], nil
}

// SetCheckpoint is store.Store.SetCheckpoint.
func (s *Store) SetCheckpoint(_ context.Context, name string, position int64) error {
	defer s.lock()()
	s.checkpoints[name] = position
	return nil
}
