package publisher

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/store"
)

const (
	// acceptanceDays is how far back it is asked what people made of our pull requests.
	acceptanceDays = 30
	// With fewer than minOpened nothing is known yet, and one refusal alone is chance.
	minOpened  = 5
	minRefused = 2
)

// where says whether a fix is only suggested, in a comment, and why it is when that is our own doing. What comes from a
// fork never leads to a push, whatever anybody has set.
func (s *Service) where(ctx context.Context, r store.Run, report evidence.Report, mode repoconfig.Mode) (comment bool, why string, err error) {
	if r.Failure.FromFork() || report.Way == evidence.ByComment {
		return true, "", nil
	}
	if mode == repoconfig.ModeSuggest {
		return true, "operators set the repository's mode to suggest", nil
	}
	class, err := s.Store.Acceptance(ctx, r.RepositoryID, report.Class, acceptanceDays)
	if err != nil || !unwelcome(class) {
		return false, "", err
	}
	return true, fmt.Sprintf("%d of our last %d pull requests about this class of failure were closed or reverted within %d days, so fixes of it are only suggested",
		class.Refused, class.Opened, acceptanceDays), nil
}

// unwelcome says whether people refused more than a tenth.
func unwelcome(a store.Acceptance) bool {
	return a.Opened >= minOpened && a.Refused >= minRefused && 10*a.Refused > a.Opened
}
