package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

const (
	// lookAgain is how long a fix rests whose repository has as many open pull requests as it may.
	lookAgain = 10 * time.Minute
	// maxPutOff is how long a fix may wait because of caps: what nobody has looked at for so long is not wanted more later.
	maxPutOff = 7 * 24 * time.Hour
	// askRedis is how long the shared quota is waited for.
	askRedis = time.Second
	// maxAsked is how many of a repository's pull requests the forge is asked about when a cap is reached.
	maxAsked = 20
)

// What a publication writes on a forge, at most.
const (
	callsOfPullRequest = 3 // the pull request, its labels, its receipt
	callsOfComment     = 1
)

// putOff says that a fix has to wait although nothing has failed.
type putOff struct {
	why   string
	after time.Duration
}

func (p *putOff) Error() string { return p.why }

// RetryAfter is how long to wait.
func (p *putOff) RetryAfter() time.Duration { return p.after }

// intended has the intent written within the caps, or ends the run whose incident has its pull request. The record of what
// is open may be behind the forge: what is not open there any more does not count, and what became of it is for others to
// record.
func (s *Service) intended(ctx context.Context, at Target, r store.Run, intend func(store.Caps) (db.Publication, error)) (db.Publication, *ending, error) {
	caps, asked := s.Caps, false
	for {
		pub, err := intend(caps)
		var same *store.IncidentError
		var over *store.CapError
		switch {
		case errors.As(err, &same):
			end, err := s.elsewhere(ctx, same.Holder)
			if end != nil || err != nil {
				return pub, end, err
			}
			caps.Gone = append(caps.Gone, same.Holder.RunID)
		case errors.As(err, &over) && over.Full && over.After == 0 && !asked:
			gone, err := s.gone(ctx, at, r)
			if err != nil {
				return pub, nil, err
			}
			caps.Gone, asked = append(caps.Gone, gone...), true
		case errors.As(err, &over) && over.Full:
			return pub, nil, &putOff{over.Error(), max(over.After, lookAgain)}
		case errors.As(err, &over):
			return pub, nil, &putOff{over.Error(), over.After}
		default:
			return pub, nil, err
		}
	}
}

// gone are the runs whose pull request is open by the record, and not by the forge.
func (s *Service) gone(ctx context.Context, at Target, r store.Run) ([]int64, error) {
	recorded, err := s.Store.OpenPublications(ctx, r.RepositoryID, maxAsked)
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, pub := range recorded {
		prs, err := at.Forge.FindPullRequests(ctx, at.Owner, at.Name, pub.Branch)
		if err != nil {
			return nil, fmt.Errorf("look for pull requests of %s: %w", pub.Branch, err)
		}
		open := false
		for _, pr := range prs {
			open = open || pr.State == forge.Open && ours(&pub, pr)
		}
		if !open {
			out = append(out, pub.RunID)
		}
	}
	return out, nil
}

// Writes bounds the calls that create content on a forge, of all publishers together.
type Writes interface {
	// Take takes n calls, all or none, and says how long it is until they may be had (0: they are taken).
	Take(ctx context.Context, at origin.Place, n int) (time.Duration, error)
}

// afford takes the calls that are going to be made before the first one is. What is tried again takes them again: fewer,
// never more.
func afford(ctx context.Context, w Writes, at Target, calls int) error {
	if w == nil {
		return nil
	}
	wait, err := w.Take(ctx, at.Place, calls)
	if err != nil {
		return err
	}
	if wait > 0 {
		return &putOff{"as much was written to " + at.Base + " as may be just now", wait}
	}
	return nil
}

// ForgeWrites is Writes by a quota in Redis. While that can't be asked, each publisher keeps to a tenth by itself.
type ForgeWrites struct {
	Shared             *lease.Quota
	Own                *lease.LocalQuota
	PerMinute, PerHour int
	Log                *slog.Logger
}

// Take implements Writes.
func (w *ForgeWrites) Take(ctx context.Context, at origin.Place, n int) (time.Duration, error) {
	if w.Shared != nil {
		asking, cancel := context.WithTimeout(ctx, askRedis)
		wait, err := w.Shared.Take(asking, at.Base, n, windows(w.PerMinute, w.PerHour)...)
		cancel()
		if err == nil || ctx.Err() != nil {
			return wait, err
		}
		w.Log.WarnContext(ctx, "the quota of a forge can't be asked; this publisher keeps to a tenth of it", "forge", at.Base, "error", err)
	}
	return w.Own.Take(ctx, at.Base, n, windows(max(n, w.PerMinute/10), max(n, w.PerHour/10))...)
}

func windows(perMinute, perHour int) []lease.Window {
	return []lease.Window{{Most: perMinute, Per: time.Minute}, {Most: perHour, Per: time.Hour}}
}

// expired ends a run whose fix was put off for too long.
func expired(fix db.Fix, err error) (ending, error) {
	var p *putOff
	if !errors.As(err, &p) || time.Since(fix.CreatedAt) < maxPutOff {
		return ending{}, err
	}
	return refused(run.Blocked, run.WaitPRCap, fmt.Sprintf("it has waited for %d days: %s", int(maxPutOff.Hours()/24), p.why)), nil
}
