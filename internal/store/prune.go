package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Prune is what there is to remove, or was removed.
type Prune struct {
	// Deliveries are records of deliveries that made no run.
	Deliveries int64 `json:"deliveries"`
	// Attempts are those whose evidence is emptied.
	Attempts int64 `json:"attempts"`
}

// Keep says for how many days what is pruned is kept.
type Keep struct {
	RecordsDays  int `json:"records_days"`
	EvidenceDays int `json:"evidence_days"`
}

// prunePiece is how many rows one statement removes: a piece is committed by itself, so that nobody waits for long and
// whoever is interrupted goes on later.
const prunePiece = 1000

// Prunable counts what Prune would remove.
func (s *Store) Prunable(ctx context.Context, k Keep) (p Prune, err error) {
	if p.Deliveries, err = s.q.CountPrunableDeliveries(ctx, int32(k.RecordsDays)); err != nil {
		return p, fmt.Errorf("count deliveries: %w", err)
	}
	if p.Attempts, err = s.q.CountPrunableEvidence(ctx, int32(k.EvidenceDays)); err != nil {
		return p, fmt.Errorf("count attempts: %w", err)
	}
	return p, nil
}

// Prune removes what is no longer needed, after it has recorded who does it and why. What dedupe needs stays: runs, their
// names and keys, the deliveries that made them or belong to them, fixes and publications. It says how far it is.
func (s *Store) Prune(ctx context.Context, k Keep, a Actor, progress func(Prune)) (done Prune, err error) {
	found, err := s.Prunable(ctx, k)
	if err != nil {
		return done, err
	}
	err = s.inTx(ctx, OpPrune, func(q *db.Queries) error { return recordOperation(ctx, q, OpPrune, nil, a, found, k) })
	if err != nil {
		return done, err
	}
	for after := int64(0); ; {
		ids, err := s.q.PruneDeliveries(ctx, db.PruneDeliveriesParams{AfterID: after, Days: int32(k.RecordsDays), MaxRows: prunePiece})
		if err != nil {
			return done, fmt.Errorf("prune deliveries: %w", err)
		}
		if len(ids) == 0 {
			break
		}
		after = slices.Max(ids)
		done.Deliveries += int64(len(ids))
		progress(done)
	}
	for after := int64(0); ; {
		runs, err := s.q.PruneEvidence(ctx, db.PruneEvidenceParams{AfterRun: after, Days: int32(k.EvidenceDays), MaxRows: prunePiece})
		if err != nil {
			return done, fmt.Errorf("prune evidence: %w", err)
		}
		if len(runs) == 0 {
			return done, nil
		}
		after = slices.Max(runs) - 1 // the last run may have more attempts; those that are empty are passed over
		done.Attempts += int64(len(runs))
		progress(done)
	}
}
