package throttle

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Rates knows the repositories whose intake operators have slowed down. There are few, and deliveries come by the
// thousand, so they are read once in a while and not with each delivery.
type Rates struct {
	mu    sync.RWMutex
	rates map[string]int
}

// least is the smaller of a repository's own rate and the knob.
func (r *Rates) least(key string, knob int) int {
	if r == nil {
		return knob
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if own, set := r.rates[key]; set {
		return min(own, knob)
	}
	return knob
}

// keep reads them every so often, until ctx ends. What was read last stands while the database is away.
func (r *Rates) keep(ctx context.Context, read func(context.Context) (map[string]int, error), every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		rates, err := read(ctx)
		switch {
		case err == nil:
			r.mu.Lock()
			r.rates = rates
			r.mu.Unlock()
		case ctx.Err() == nil:
			log.WarnContext(ctx, "rates of repositories not read; the last ones stand", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
