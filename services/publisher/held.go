package publisher

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

// held ends a run of a repository that wants nothing any more, though it did when the fix was made; otherwise it tells the
// mode that operators have set, if any. The settings that can't be read for good are those that the runner has judged by.
func (s *Service) held(ctx context.Context, at Target, r store.Run) (repoconfig.Mode, *ending, error) {
	by, err := s.Store.SwitchedOff(ctx, r.ID)
	if err != nil {
		return "", nil, err
	}
	if by != nil {
		e := refused(run.Blocked, store.ReasonRepositoryOff, fmt.Sprintf("the repository was switched off by %s: %s", by.OffBy, by.OffWhy))
		return "", &e, nil
	}
	set, err := s.Store.RepositoryMode(ctx, r.RepositoryID)
	if err != nil {
		return "", nil, fmt.Errorf("mode of the repository: %w", err)
	}
	mode := repoconfig.Mode(set)
	if mode == repoconfig.ModeShadow {
		e := refused(run.Declined, "shadow_mode", "a verified fix was made; operators set the repository's mode to shadow, so no pull request is opened")
		return mode, &e, nil
	}
	off, err := s.Settings.Off(ctx, at.Place, r.Failure.BaseBranch, r.Failure.Commit)
	if _, permanent := fault.Reason(err); err != nil && !permanent {
		return mode, nil, fmt.Errorf("read the repository's settings: %w", err)
	}
	if off {
		e := refused(run.Declined, "mode_off", "the repository's settings say mode: off now")
		return mode, &e, nil
	}
	return mode, nil, nil
}
