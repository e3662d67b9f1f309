package publisher

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

// off ends a run of a repository that wants nothing any more, though it did when the run began. The settings that can't
// be read for good are those that the runner has judged by.
func (s *Service) off(ctx context.Context, at Target, r store.Run) (*ending, error) {
	by, err := s.Store.SwitchedOff(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if by != nil {
		e := refused(run.Blocked, store.ReasonRepositoryOff, fmt.Sprintf("the repository was switched off by %s: %s", by.OffBy, by.OffWhy))
		return &e, nil
	}
	off, err := s.Settings.Off(ctx, at.Place, r.Failure.BaseBranch)
	if _, permanent := fault.Reason(err); err != nil && !permanent {
		return nil, fmt.Errorf("read the repository's settings: %w", err)
	}
	if off {
		e := refused(run.Declined, "mode_off", "the repository's settings say mode: off now")
		return &e, nil
	}
	return nil, nil //nolint:nilnil // nobody switched it off
}
