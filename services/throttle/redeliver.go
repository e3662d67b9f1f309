package throttle

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/redeliver"
)

// Claim is a lock that one of all throttles holds.
type Claim interface {
	Acquire(ctx context.Context, key, token string, ttl time.Duration) (bool, error)
	Renew(ctx context.Context, key, token string, ttl time.Duration) error
}

// Redeliverer asks the providers for the deliveries that never reached us: once after the start, because we may have
// been away, and at each Interval.
type Redeliverer struct {
	// Round looks at every hook since a time.
	Round func(ctx context.Context, since time.Time) []redeliver.Report
	Claim Claim
	Log   *slog.Logger
	// Interval is from one round to the next; Soon from one that failed, or that another throttle is at. The claim is
	// kept for as long after a round, so that throttles that start together ask once.
	Interval, Soon time.Duration
	Now            func() time.Time
}

const (
	redeliverEvery = time.Hour
	redeliverSoon  = 5 * time.Minute
	redeliverKey   = "redeliver"
)

// newRedeliverer returns nil when no hook is configured.
func newRedeliverer(cfg *config.Config, records redeliver.Records, claim Claim, log *slog.Logger) (*Redeliverer, error) {
	hooks, err := redeliver.Hooks(cfg, time.Now)
	if err != nil || len(hooks) == 0 {
		return nil, err
	}
	round := &redeliver.Round{Hooks: hooks, Records: records, Limits: redeliver.DefaultLimits(), Now: time.Now}
	return &Redeliverer{Round: round.Run, Claim: claim, Log: log, Interval: redeliverEvery, Soon: redeliverSoon, Now: time.Now}, nil
}

// Loop runs rounds until ctx ends.
func (r *Redeliverer) Loop(ctx context.Context) {
	token := rand.Text()
	for {
		next := time.NewTimer(r.runOnce(ctx, token))
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		}
	}
}

// runOnce runs a round, unless another throttle is at it, and says when to look again.
func (r *Redeliverer) runOnce(ctx context.Context, token string) time.Duration {
	asked := time.Now()
	mine, err := r.Claim.Acquire(ctx, redeliverKey, token, r.Soon)
	if err != nil {
		r.Log.WarnContext(ctx, "asking for redelivery waits for the lock", "error", err)
		return r.Soon
	}
	if !mine {
		return r.Soon
	}
	held, stop := lease.Keep(ctx, asked, r.Soon, func(ctx context.Context) error { return r.Claim.Renew(ctx, redeliverKey, token, r.Soon) })
	defer stop()
	next := r.Interval
	for _, rep := range r.Round(held, r.Now().Add(-redeliver.Window)) {
		r.tell(ctx, rep)
		if rep.Err != nil {
			next = min(next, r.after(rep.Err))
		}
	}
	return next
}

// after is when to try again: the provider may have said.
func (r *Redeliverer) after(err error) time.Duration {
	var retry *httpapi.RetryError
	if errors.As(err, &retry) {
		return min(max(retry.RetryAfter(), r.Soon), r.Interval)
	}
	return r.Interval // a token that is refused is refused in five minutes too
}

func (r *Redeliverer) tell(ctx context.Context, rep redeliver.Report) {
	args := []any{"provider", rep.Provider, "hook", rep.Hook, "attempts", rep.Attempts, "whole", rep.Whole, "failed", len(rep.Deliveries), "counts", rep.Counts}
	if rep.Err != nil {
		if ctx.Err() == nil {
			r.Log.WarnContext(ctx, "asking for redelivery failed; it is tried again", append(args, "error", rep.Err)...)
		}
		return
	}
	r.Log.InfoContext(ctx, "looked for deliveries that never arrived", args...)
	for _, c := range rep.Deliveries {
		if c.Verdict == redeliver.Asked || c.Verdict == redeliver.GaveUp || c.Verdict == redeliver.Refused {
			r.Log.InfoContext(ctx, "a delivery that never arrived", "provider", rep.Provider, "delivery_id", c.Delivery, "event", c.Event,
				"verdict", c.Verdict, "attempts", c.Attempts, "last_status", c.Status)
		}
	}
}
