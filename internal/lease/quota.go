package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Each call is a member of a sorted set, scored by the server's microseconds: a window is exact, and no burst at the
// turn of a minute is twice the limit.
//
// ARGV: how many, a name for them, then pairs of (most, length in microseconds), the longest window last. Returns the
// wait in microseconds as a string, "0" when they were taken; the wait is until the oldest calls that are in the way
// have left their window.
var quotaScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local n = tonumber(ARGV[1])
local longest = tonumber(ARGV[#ARGV])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - longest))
local wait = 0
for i = 3, #ARGV, 2 do
	local most, per = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
	local since = '(' .. string.format('%.0f', now - per)
	local over = redis.call('ZCOUNT', KEYS[1], since, '+inf') + n - most
	if over > 0 then
		local blocking = redis.call('ZRANGEBYSCORE', KEYS[1], since, '+inf', 'WITHSCORES', 'LIMIT', over - 1, 1)
		wait = math.max(wait, tonumber(blocking[2]) + per - now)
	end
end
if wait > 0 then
	return string.format('%.0f', wait)
end
for i = 1, n do
	redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[2] .. '/' .. i)
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(longest / 1000)))
return '0'
`)

// Window lets at most Most calls through in any stretch of time that is Per long.
type Window struct {
	Most int
	Per  time.Duration
}

// Quota bounds calls that several processes make, in several windows at once.
type Quota struct {
	rdb    redis.Scripter
	prefix string
}

// NewQuota keeps one sorted set a key under prefix + "quota:", with as many members as the longest window lets through.
func NewQuota(rdb redis.Scripter, prefix string) *Quota {
	return &Quota{rdb: rdb, prefix: prefix + "quota:"}
}

// Take takes n calls of key's, all of them or none, and says how long it is until they may be had (0: they are taken).
// After an error nobody knows whether they were: taken again they count twice, which is later, never faster.
func (q *Quota) Take(ctx context.Context, key string, n int, windows ...Window) (time.Duration, error) {
	if err := fits(n, windows); err != nil {
		return 0, fmt.Errorf("take from quota %q: %w", key, err)
	}
	args := []any{n, uuid.NewString()}
	for _, w := range windows {
		args = append(args, w.Most, w.Per.Microseconds())
	}
	wait, err := quotaScript.Run(ctx, q.rdb, []string{q.prefix + key}, args...).Int64()
	if err != nil {
		return 0, fmt.Errorf("take from quota %q: %w", key, err)
	}
	return time.Duration(wait) * time.Microsecond, nil
}

// fits refuses what could never be had, and windows that are not in order.
func fits(n int, windows []Window) error {
	if n < 1 || len(windows) == 0 {
		return fmt.Errorf("%d calls of %d windows: both must be at least 1", n, len(windows))
	}
	longest := time.Microsecond
	for _, w := range windows {
		if w.Most < n || w.Per < longest {
			return fmt.Errorf("%d calls never fit into %d each %s, or the windows are not in order", n, w.Most, w.Per)
		}
		longest = w.Per
	}
	return nil
}
