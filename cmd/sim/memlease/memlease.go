// Package memlease is the Redis of internal/lease in memory: the double of locks, slots and rates for the simulator.
//
// It promises what the Lua scripts promise, by a clock of its own that may jump; and like Redis it may be wiped.
package memlease

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/lease"
)

type lock struct {
	token string
	until int64 // milliseconds
}

// Redis keeps locks, slots and rates. It is safe for concurrent use.
type Redis struct {
	mu    sync.Mutex
	clock func() time.Time
	off   guard.Off
	locks map[string]lock
	slots map[string]map[string]int64
	rates map[string]int64 // theoretical arrival time in microseconds
}

// New returns an empty Redis whose time is the clock's.
func New(clock func() time.Time, off guard.Off) *Redis {
	r := &Redis{clock: clock, off: off}
	r.Wipe()
	return r
}

// Wipe forgets everything, as FLUSHALL or a failover does.
func (r *Redis) Wipe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locks, r.slots, r.rates = map[string]lock{}, map[string]map[string]int64{}, map[string]int64{}
}

func (r *Redis) now() int64 { return r.clock().UnixMilli() }

// Lock is lease.Lock.
type Lock struct{ *Redis }

// holder returns who holds a lock, or "".
func (r *Redis) holder(key string) string {
	l, ok := r.locks[key]
	if !ok || l.until <= r.now() {
		delete(r.locks, key)
		return ""
	}
	return l.token
}

// Acquire is lease.Lock.Acquire.
func (l Lock) Acquire(_ context.Context, key, token string, ttl time.Duration) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.holder(key); h != "" && h != token && l.off.On(guard.LockHolder) {
		return false, nil
	}
	l.locks[key] = lock{token, l.now() + ttl.Milliseconds()}
	return true, nil
}

// Renew is lease.Lock.Renew.
func (l Lock) Renew(_ context.Context, key, token string, ttl time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder(key) != token {
		if l.off[guard.HeartbeatLost] {
			return nil
		}
		return fmt.Errorf("renew lock %q: %w", key, lease.ErrLost)
	}
	l.locks[key] = lock{token, l.now() + ttl.Milliseconds()}
	return nil
}

// Release is lease.Lock.Release.
func (l Lock) Release(_ context.Context, key, token string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder(key) == token || l.off[guard.LockToken] {
		delete(l.locks, key)
	}
	return nil
}

// Holder returns who holds a lock now, or "".
func (l Lock) Holder(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder(key)
}

// Slots is lease.Slots.
type Slots struct{ *Redis }

func (r *Redis) sweep(repo string) map[string]int64 {
	set := r.slots[repo]
	if set == nil {
		set = map[string]int64{}
		r.slots[repo] = set
	}
	for h, until := range set {
		if until <= r.now() {
			delete(set, h)
		}
	}
	return set
}

// Take is lease.Slots.Take.
func (s Slots) Take(_ context.Context, repo, holder string, limit int, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.sweep(repo)
	if _, has := set[holder]; !has && len(set) >= limit && s.off.On(guard.SlotLimit) {
		return false, nil
	}
	set[holder] = s.now() + ttl.Milliseconds()
	return true, nil
}

// Renew is lease.Slots.Renew.
func (s Slots) Renew(_ context.Context, repo, holder string, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.sweep(repo)
	if _, has := set[holder]; !has {
		if s.off[guard.HeartbeatLost] {
			return nil
		}
		return fmt.Errorf("renew slot of %q: %w", repo, lease.ErrLost)
	}
	set[holder] = s.now() + ttl.Milliseconds()
	return nil
}

// Release is lease.Slots.Release.
func (s Slots) Release(_ context.Context, repo, holder string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sweep(repo), holder)
	return nil
}

// InUse is lease.Slots.InUse.
func (s Slots) InUse(_ context.Context, repo string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sweep(repo)), nil
}

// Rate is lease.Rate.
type Rate struct{ *Redis }

// Reserve is lease.Rate.Reserve.
func (r Rate) Reserve(_ context.Context, key string, perMinute, burst int) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	interval := (time.Minute.Microseconds() + int64(perMinute) - 1) / int64(perMinute)
	now := r.clock().UnixMicro()
	tat := max(r.rates[key], now)
	wait := max(0, tat-interval*int64(burst-1)-now)
	r.rates[key] = tat + interval
	return time.Duration(wait) * time.Microsecond, nil
}
