package publisher

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// maxReturns is how often the same trouble may come back after its fix was merged before the agent stops: what
// keeps coming back is not mended by doing it again.
const maxReturns = 3

func fingerprint(r store.Run) string {
	if r.Fingerprint == nil {
		return ""
	}
	return *r.Fingerprint
}

// refusal ends a run whose trouble a person has refused to have mended, or that keeps coming back.
func (s *Service) refusal(ctx context.Context, r store.Run) (*ending, error) {
	url, err := s.Store.Refused(ctx, fingerprint(r))
	if err != nil {
		return nil, err
	}
	if url != "" {
		e := s.refusedBy(ctx, url)
		return &e, nil
	}
	merged, err := s.Store.Merged(ctx, fingerprint(r))
	if err != nil {
		return nil, err
	}
	if merged >= maxReturns {
		s.Counters.LoopBlocked(ctx, telemetry.LoopFingerprint)
		e := refused(run.Blocked, "fingerprint_returns", fmt.Sprintf("the same trouble came back after %d merged pull requests of ours", merged))
		return &e, nil
	}
	return nil, nil //nolint:nilnil // nothing stands against it
}

// refusedBy ends a run whose trouble a person refused by closing a pull request.
func (s *Service) refusedBy(ctx context.Context, url string) ending {
	s.Counters.PRCreateSkipped(ctx, telemetry.PRExistsClosed)
	s.Counters.LoopBlocked(ctx, telemetry.LoopFingerprint)
	return closedByPerson(url)
}

// follow ends a run whose trouble another run's pull request stands for. The forge says how that one is now: open
// makes this run a follower, closed is a no to both, and merged makes way for another try.
func (s *Service) follow(ctx context.Context, r store.Run, holder db.Publication) (ending, error) {
	if holder.PrUrl == nil {
		return ending{}, fmt.Errorf("run %d is publishing a fix of the same trouble right now", holder.RunID)
	}
	repo := r.Failure.Repository
	prs, err := s.Forge.FindPullRequests(ctx, repo.Owner, repo.Name, holder.Branch)
	if err != nil {
		return ending{}, fmt.Errorf("look for pull requests of %s: %w", holder.Branch, err)
	}
	now := store.PRClosed
	for _, pr := range prs {
		switch {
		case pr.State == forge.Open:
			s.Counters.PRCreateSkipped(ctx, telemetry.PRFingerprint)
			return refused(run.Superseded, "pull_request_open", pr.URL+" stands for the same trouble already"), nil
		case pr.Merged:
			now = store.PRMerged
		}
	}
	if now == store.PRMerged {
		if err := s.Store.SetPRState(ctx, holder, now); err != nil {
			return ending{}, err
		}
		return ending{}, fmt.Errorf("%s was merged, and the trouble is back: the next try is a new pull request", *holder.PrUrl)
	}
	s.Counters.PRCreateSkipped(ctx, telemetry.PRExistsClosed)
	e := closedByPerson(*holder.PrUrl)
	e.closedPR = *holder.PrUrl
	return e, nil
}
