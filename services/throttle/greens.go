package throttle

import (
	"context"
	"log/slog"
	"time"
)

// forgetEvery is how often old successes are looked for.
const forgetEvery = time.Hour

// Greens forgets successes.
type Greens interface {
	PruneGreens(ctx context.Context, older time.Duration) (int64, error)
}

// forgetGreens forgets successes that no failure can come after any more, until ctx ends: a delivery can be replayed for as
// long as the stream keeps it. Every pipeline that passes leaves one, so they would grow for ever.
func forgetGreens(ctx context.Context, greens Greens, kept time.Duration, log *slog.Logger) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		n, err := greens.PruneGreens(ctx, kept)
		switch {
		case err != nil && ctx.Err() == nil:
			log.WarnContext(ctx, "old successes are still there; it is tried again", "error", err)
		case n > 0:
			log.InfoContext(ctx, "old successes forgotten", "successes", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
