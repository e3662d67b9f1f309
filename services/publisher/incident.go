package publisher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// incident is the same change for the same error of one owner, in whichever branch and repository; empty when the error
// says too little, or nobody asks.
func (s *Service) incident(at Target, fix db.Fix) (string, error) {
	if fix.Trouble == "" || s.Incidents == 0 {
		return "", nil
	}
	p, err := patch.Parse(fix.Diff)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, part := range []string{strings.ToLower(at.Base), strings.ToLower(at.Owner), fix.Trouble} {
		fmt.Fprintf(h, "%s\x00", part)
	}
	for sign, lines := range [][]patch.Line{p.Removed, p.Added} {
		for _, l := range lines {
			fmt.Fprintf(h, "%d%s\x00", sign, l.Text)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// elsewhere ends a run whose incident another run's pull request stands for, and links the two. One that is on its way is
// waited for; one that is not open any more ends nothing.
func (s *Service) elsewhere(ctx context.Context, holder db.Publication) (*ending, error) {
	if holder.PrUrl == nil {
		return nil, fmt.Errorf("run %d is publishing the same change for the same error right now", holder.RunID)
	}
	leader, err := s.Store.Run(ctx, holder.RunID)
	if err != nil {
		return nil, err
	}
	at, err := s.Target(leader.Failure)
	if err != nil {
		return nil, err
	}
	prs, err := at.Forge.FindPullRequests(ctx, at.Owner, at.Name, holder.Branch)
	if err != nil {
		return nil, fmt.Errorf("look for pull requests of %s: %w", holder.Branch, err)
	}
	for _, pr := range prs {
		if pr.State == forge.Open && ours(&holder, pr) {
			e := refused(run.Superseded, "incident", (&store.IncidentError{Holder: holder}).Error())
			e.leader = holder.RunID
			return &e, nil
		}
	}
	return nil, nil //nolint:nilnil // it makes way
}
