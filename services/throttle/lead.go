package throttle

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sre-agent/sre-agent/internal/store"
)

// Leader is what one of several throttles is, so that what is needed once is done once.
type Leader struct {
	Store interface {
		TryLead(ctx context.Context) (*store.Lead, error)
	}
	Log *slog.Logger

	leads atomic.Bool
}

// Leads says whether this process is the leader.
func (l *Leader) Leads() bool { return l.leads.Load() }

// Loop tries to lead until ctx ends, and does the leader's work for as long as it does.
func (l *Leader) Loop(ctx context.Context, work func(ctx context.Context, holds func(context.Context) error) error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := l.runOnce(ctx, work); err != nil && ctx.Err() == nil {
			l.Log.WarnContext(ctx, "not leading; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *Leader) runOnce(ctx context.Context, work func(ctx context.Context, holds func(context.Context) error) error) error {
	lead, err := l.Store.TryLead(ctx)
	if err != nil || lead == nil {
		return err
	}
	defer lead.Release()
	l.leads.Store(true)
	defer l.leads.Store(false)
	l.Log.InfoContext(ctx, "leading: runs are counted and audited here")
	return work(ctx, lead.Holds)
}
