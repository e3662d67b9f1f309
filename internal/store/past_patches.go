package store

import (
	"context"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// PastPatch is the patch of an attempt, with what became of it.
type PastPatch = db.PastPatchesRow

// patchesAtOnce bounds how many patches are in memory together; each may have a megabyte.
const patchesAtOnce = 20

// PastPatches hands over each patch of an attempt that began at a time or later, in the order of the runs, until see
// returns an error.
func (s *Store) PastPatches(ctx context.Context, since time.Time, see func(PastPatch) error) error {
	after := db.PastPatchesParams{Since: since, MaxRows: patchesAtOnce}
	for {
		rows, err := s.q.PastPatches(ctx, after)
		if err != nil {
			return fmt.Errorf("past patches: %w", err)
		}
		for _, row := range rows {
			if err := see(row); err != nil {
				return err
			}
			after.AfterRun, after.AfterFence = row.RunID, row.Fence
		}
		if len(rows) < patchesAtOnce {
			return nil
		}
	}
}
