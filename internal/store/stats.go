package store

import (
	"context"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Stat is what became of the pull requests of one repository and one class of failure.
type Stat = db.StatsRow

// Stats counts what became of the pull requests that were opened since a time.
func (s *Store) Stats(ctx context.Context, since time.Time) ([]Stat, error) {
	rows, err := s.q.Stats(ctx, since)
	if err != nil {
		return nil, fmt.Errorf("statistics of pull requests: %w", err)
	}
	return rows, nil
}
