package store

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// SaveReceipt keeps the signed receipt of the publication in hand, or returns ErrFenced.
func (s *Store) SaveReceipt(ctx context.Context, id, fence int64, receipt, minisig string) error {
	return changed(s.q.SaveReceipt(ctx, db.SaveReceiptParams{RunID: id, Fence: fence, Receipt: receipt, Minisig: minisig}))
}

// Event returns the delivery that made a run, or ErrNotFound.
func (s *Store) Event(ctx context.Context, id int64) (db.Delivery, error) {
	d, err := s.q.EventOfRun(ctx, &id)
	if err != nil {
		return d, fmt.Errorf("event of run %d: %w", id, one(err))
	}
	return d, nil
}
