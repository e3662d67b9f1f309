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
		e := closedByPerson(url)
		return &e, nil
	}
	merged, err := s.Store.Merged(ctx, fingerprint(r))
	if err != nil {
		return nil, err
	}
	if merged >= maxReturns {
		e := refused(run.Blocked, telemetry.EndFingerprintReturns, fmt.Sprintf("the same trouble came back after %d merged pull requests of ours", merged))
		return &e, nil
	}
	return nil, nil //nolint:nilnil // nothing stands against it
}

// follow ends a run whose trouble another run's pull request stands for. The forge says how that one is now: open
// makes this run a follower, closed is a no to both, and merged makes way for another try.
func (s *Service) follow(ctx context.Context, at Target, holder db.Publication) (ending, error) {
	if holder.PrUrl == nil {
		return ending{}, fmt.Errorf("run %d is publishing a fix of the same trouble right now", holder.RunID)
	}
	prs, err := at.Forge.FindPullRequests(ctx, at.Owner, at.Name, holder.Branch)
	if err != nil {
		return ending{}, fmt.Errorf("look for pull requests of %s: %w", holder.Branch, err)
	}
	now := store.PRClosed
	for _, pr := range prs {
		switch {
		case !ours(&holder, pr):
		case pr.State == forge.Open:
			e := stands(pr)
			e.leader = holder.RunID
			return e, nil
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
	e := closedByPerson(*holder.PrUrl)
	e.closedPR = *holder.PrUrl
	return e, nil
}

// stands ends a run whose trouble an open pull request stands for.
func stands(pr forge.PullRequest) ending {
	return refused(run.Superseded, store.ReasonPROpen, pr.URL+" stands for the same trouble already")
}

// maxReopened is how many closed pull requests of the same trouble are looked at again.
const maxReopened = 3

// reopened ends a run whose trouble a pull request of ours stands for again: a person had closed it, and opened it
// once more. From then on the record says so.
func (s *Service) reopened(ctx context.Context, at Target, r store.Run) (*ending, error) {
	closed, err := s.Store.ClosedPublications(ctx, fingerprint(r), maxReopened)
	if err != nil {
		return nil, err
	}
	for _, pub := range closed {
		prs, err := at.Forge.FindPullRequests(ctx, at.Owner, at.Name, pub.Branch)
		if err != nil {
			return nil, fmt.Errorf("look for pull requests of %s: %w", pub.Branch, err)
		}
		for _, pr := range prs {
			if pr.State != forge.Open || !ours(&pub, pr) {
				continue
			}
			if err := s.Store.SetPRState(ctx, pub, store.PROpen); err != nil {
				return nil, err
			}
			e := stands(pr)
			return &e, nil
		}
	}
	return nil, nil //nolint:nilnil // none is an answer
}
