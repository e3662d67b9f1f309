package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// A repository's slots are a sorted set: member = holder, score = expiry in the server's milliseconds. Each script
// drops the expired first, and the set itself lives as long as its longest slot, so that nothing stays behind.
const (
	slotsSweep = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
`
	slotsKeep = `
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', last[2] - now))
return 1
`
)

var (
	takeScript = redis.NewScript(slotsSweep + `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
` + slotsKeep)

	renewSlotScript = redis.NewScript(slotsSweep + `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
` + slotsKeep)

	countScript = redis.NewScript(slotsSweep + `return redis.call('ZCARD', KEYS[1])`)

	dropScript = redis.NewScript(`return redis.call('ZREM', KEYS[1], ARGV[1])`)
)

// Slots bounds how many holders work on a repository at once.
type Slots struct {
	rdb    redis.Scripter
	prefix string
}

// NewSlots keeps its slots under prefix + "slots:".
func NewSlots(rdb redis.Scripter, prefix string) *Slots {
	return &Slots{rdb: rdb, prefix: prefix + "slots:"}
}

// Take takes a slot of repo for ttl and says whether holder has one now; false means that limit slots are in
// use. A holder that has a slot keeps it, renewed, even where the limit has been lowered since.
func (s *Slots) Take(ctx context.Context, repo, holder string, limit int, ttl time.Duration) (bool, error) {
	ms, err := millis(ttl)
	if err != nil {
		return false, err
	}
	n, err := takeScript.Run(ctx, s.rdb, []string{s.prefix + repo}, holder, ms, limit).Int()
	if err != nil {
		return false, fmt.Errorf("take slot of %q: %w", repo, err)
	}
	return n == 1, nil
}

// Renew makes holder's slot last ttl from now, or returns ErrLost when it has none.
func (s *Slots) Renew(ctx context.Context, repo, holder string, ttl time.Duration) error {
	ms, err := millis(ttl)
	if err != nil {
		return err
	}
	n, err := renewSlotScript.Run(ctx, s.rdb, []string{s.prefix + repo}, holder, ms).Int()
	if err != nil {
		return fmt.Errorf("renew slot of %q: %w", repo, err)
	}
	if n == 0 {
		return fmt.Errorf("renew slot of %q: %w", repo, ErrLost)
	}
	return nil
}

// Release gives holder's slot back. Having none is not an error.
func (s *Slots) Release(ctx context.Context, repo, holder string) error {
	if err := dropScript.Run(ctx, s.rdb, []string{s.prefix + repo}, holder).Err(); err != nil {
		return fmt.Errorf("release slot of %q: %w", repo, err)
	}
	return nil
}

// InUse counts the live slots of repo.
func (s *Slots) InUse(ctx context.Context, repo string) (int, error) {
	n, err := countScript.Run(ctx, s.rdb, []string{s.prefix + repo}).Int()
	if err != nil {
		return 0, fmt.Errorf("count slots of %q: %w", repo, err)
	}
	return n, nil
}
