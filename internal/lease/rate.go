package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// The generic cell rate algorithm: the key holds the theoretical arrival time (TAT) of the next call in the
// server's microseconds. A call moves TAT on by one interval and may start (burst - 1) intervals before the old
// one. See https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm (virtual scheduling).
//
// ARGV: interval, tolerance (both in microseconds). Returns the wait in microseconds as a string: Lua numbers
// print 14 digits, and a TAT has 16.
var reserveScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local wait = math.max(0, tat - tolerance - now)
tat = tat + interval
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', string.format('%.0f', math.ceil((tat - now) / 1000)))
return string.format('%.0f', wait)
`)

// Rate spreads calls in time: each call is given its own place, so a storm gets exact due times and nobody is
// told to try again.
type Rate struct {
	rdb    redis.Scripter
	prefix string
}

// NewRate keeps one number a key under prefix + "rate:"; it goes away once the key is quiet.
func NewRate(rdb redis.Scripter, prefix string) *Rate {
	return &Rate{rdb: rdb, prefix: prefix + "rate:"}
}

// Reserve books the next place of key and returns how long this very call has to wait for it (0: go now). Each
// call books another place, so a call repeated after an error may leave one unused: later, never faster.
func (r *Rate) Reserve(ctx context.Context, key string, perMinute, burst int) (time.Duration, error) {
	if perMinute < 1 || burst < 1 {
		return 0, fmt.Errorf("reserve rate %q: perMinute %d and burst %d must be at least 1", key, perMinute, burst)
	}
	// Rounded up, so that rounding never admits more than the rate.
	interval := (time.Minute.Microseconds() + int64(perMinute) - 1) / int64(perMinute)
	tolerance := interval * int64(burst-1)
	wait, err := reserveScript.Run(ctx, r.rdb, []string{r.prefix + key}, interval, tolerance).Int64()
	if err != nil {
		return 0, fmt.Errorf("reserve rate %q: %w", key, err)
	}
	return time.Duration(wait) * time.Microsecond, nil
}
