package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// A holder that asks again (it may not have seen the first answer) gets its lock, with a fresh time to live.
var acquireScript = redis.NewScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`)

var renewScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)

var releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`)

// Lock is a set of named locks, each held by at most one token at a time.
type Lock struct {
	rdb    redis.Scripter
	prefix string
}

// NewLock keeps its locks under prefix + "lock:".
func NewLock(rdb redis.Scripter, prefix string) *Lock {
	return &Lock{rdb: rdb, prefix: prefix + "lock:"}
}

// Acquire takes the lock for ttl and says whether token holds it now; false means that somebody else does.
func (l *Lock) Acquire(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	px, err := millis(ttl)
	if err != nil {
		return false, err
	}
	n, err := acquireScript.Run(ctx, l.rdb, []string{l.prefix + key}, token, px).Int()
	if err != nil {
		return false, fmt.Errorf("acquire lock %q: %w", key, err)
	}
	return n == 1, nil
}

// Renew makes the lock last ttl from now, or returns ErrLost when token does not hold it.
func (l *Lock) Renew(ctx context.Context, key, token string, ttl time.Duration) error {
	px, err := millis(ttl)
	if err != nil {
		return err
	}
	n, err := renewScript.Run(ctx, l.rdb, []string{l.prefix + key}, token, px).Int()
	if err != nil {
		return fmt.Errorf("renew lock %q: %w", key, err)
	}
	if n == 0 {
		return fmt.Errorf("renew lock %q: %w", key, ErrLost)
	}
	return nil
}

// Release gives the lock up. A lock that token does not hold is left alone, without an error.
func (l *Lock) Release(ctx context.Context, key, token string) error {
	if err := releaseScript.Run(ctx, l.rdb, []string{l.prefix + key}, token).Err(); err != nil {
		return fmt.Errorf("release lock %q: %w", key, err)
	}
	return nil
}
