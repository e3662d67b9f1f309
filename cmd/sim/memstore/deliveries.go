package memstore

import (
	"context"
	"encoding/json"

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
		repo := s.repository(f)
		if s.off.On(guard.StoreRunKey) {
			for _, r := range s.runs {
				if r.RunKey == f.RunKey() {
					return store.Record{Outcome: store.OutcomeCoalesced, RunID: r.ID}, nil
				}
			}
		}
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
		return store.Record{Outcome: store.OutcomeRun, RunID: r.ID}, nil
	})
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
