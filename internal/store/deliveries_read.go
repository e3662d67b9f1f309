package store

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// DeliveryRow is a delivery's record with the repository and the state of its run; both are empty without a run.
type DeliveryRow = db.ListDeliveriesRow

// Outcomes are what a delivery may end as.
func Outcomes() []string {
	return []string{OutcomeRun, OutcomeCoalesced, OutcomeDuplicate, OutcomeIgnored, OutcomeDead}
}

// Deliveries lists the newest records, at most n, of one outcome or (with "") of any.
func (s *Store) Deliveries(ctx context.Context, outcome string, n int32) ([]DeliveryRow, error) {
	rows, err := s.q.ListDeliveries(ctx, db.ListDeliveriesParams{OfOutcome: outcome, MaxRows: n})
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return rows, nil
}

// DeliveryRecord returns the record of one delivery, or ErrNotFound.
func (s *Store) DeliveryRecord(ctx context.Context, provider, id string) (db.Delivery, error) {
	d, err := s.q.GetDelivery(ctx, db.GetDeliveryParams{Provider: provider, DeliveryID: id})
	if err != nil {
		return d, fmt.Errorf("delivery %s of %s: %w", id, provider, one(err))
	}
	return d, nil
}
