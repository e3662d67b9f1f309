package memlease_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/sre-agent/sre-agent/cmd/sim/memlease"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/testenv"
)

type lock interface {
	Acquire(ctx context.Context, key, token string, ttl time.Duration) (bool, error)
	Renew(ctx context.Context, key, token string, ttl time.Duration) error
	Release(ctx context.Context, key, token string) error
}

type slots interface {
	Take(ctx context.Context, repo, holder string, limit int, ttl time.Duration) (bool, error)
	Renew(ctx context.Context, repo, holder string, ttl time.Duration) error
	Release(ctx context.Context, repo, holder string) error
	InUse(ctx context.Context, repo string) (int, error)
}

type rate interface {
	Reserve(ctx context.Context, key string, perMinute, burst int) (time.Duration, error)
}

var ctx = context.Background()

// pass makes every key of Redis older: to wait for real would take hours.
func pass(rt *rapid.T, rdb *redis.Client, d time.Duration) {
	keys, err := rdb.Keys(ctx, "*").Result()
	if err != nil {
		rt.Fatal(err)
	}
	for _, k := range keys {
		switch {
		case strings.HasPrefix(k, "s:"):
			for _, member := range rdb.ZRange(ctx, k, 0, -1).Val() {
				err = errors.Join(err, rdb.ZIncrBy(ctx, k, -float64(d.Milliseconds()), member).Err())
			}
		case strings.HasPrefix(k, "r:"):
			tat, gerr := rdb.Get(ctx, k).Int64()
			err = errors.Join(err, gerr, rdb.Set(ctx, k, fmt.Sprint(tat-d.Microseconds()), redis.KeepTTL).Err())
		default:
			if left := rdb.PTTL(ctx, k).Val(); left <= d {
				err = errors.Join(err, rdb.Del(ctx, k).Err())
			} else {
				err = errors.Join(err, rdb.PExpire(ctx, k, left-d).Err())
			}
		}
	}
	if err != nil {
		rt.Fatal(err)
	}
}

func verdict(ok bool, err error) string {
	if errors.Is(err, lease.ErrLost) {
		return "lost"
	}
	return fmt.Sprint(ok, err)
}

// TestTheDoubleLeasesAsRedisDoes plays random operations on both and compares each answer.
func TestTheDoubleLeasesAsRedisDoes(t *testing.T) {
	rdb := testenv.Redis(t)
	rapid.Check(t, func(rt *rapid.T) {
		rdb.FlushDB(ctx)
		ahead := time.Duration(0)
		mem := memlease.New(func() time.Time { return time.Now().Add(ahead) }, nil)
		locks := []lock{lease.NewLock(rdb, "l:"), memlease.Lock{Redis: mem}}
		sets := []slots{lease.NewSlots(rdb, "s:"), memlease.Slots{Redis: mem}}
		rates := []rate{lease.NewRate(rdb, "r:"), memlease.Rate{Redis: mem}}
		same := func(rt *rapid.T, what string, f func(i int) string) {
			if want, got := f(0), f(1); want != got {
				rt.Fatalf("%s: Redis says %q, the double %q", what, want, got)
			}
		}
		who := func(rt *rapid.T) (key, token string) {
			return rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "key"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "token")
		}
		ttl := func(rt *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(1, 3).Draw(rt, "hours")) * time.Hour
		}
		rt.Repeat(map[string]func(*rapid.T){
			"acquire": func(rt *rapid.T) {
				key, token := who(rt)
				d := ttl(rt)
				same(rt, "acquire", func(i int) string { return verdict(locks[i].Acquire(ctx, key, token, d)) })
			},
			"renew": func(rt *rapid.T) {
				key, token := who(rt)
				d := ttl(rt)
				same(rt, "renew", func(i int) string { return verdict(true, locks[i].Renew(ctx, key, token, d)) })
			},
			"release": func(rt *rapid.T) {
				key, token := who(rt)
				same(rt, "release", func(i int) string { return verdict(true, locks[i].Release(ctx, key, token)) })
			},
			"take": func(rt *rapid.T) {
				key, token := who(rt)
				d, limit := ttl(rt), rapid.IntRange(1, 2).Draw(rt, "limit")
				same(rt, "take", func(i int) string { return verdict(sets[i].Take(ctx, key, token, limit, d)) })
			},
			"renew slot": func(rt *rapid.T) {
				key, token := who(rt)
				d := ttl(rt)
				same(rt, "renew slot", func(i int) string { return verdict(true, sets[i].Renew(ctx, key, token, d)) })
			},
			"release slot": func(rt *rapid.T) {
				key, token := who(rt)
				same(rt, "release slot", func(i int) string { return verdict(true, sets[i].Release(ctx, key, token)) })
			},
			"reserve": func(rt *rapid.T) {
				key, _ := who(rt)
				burst := rapid.IntRange(1, 3).Draw(rt, "burst")
				same(rt, "reserve", func(i int) string {
					// One a minute: what the two clocks are apart is far below half of that.
					d, err := rates[i].Reserve(ctx, key, 1, burst)
					return verdict(true, err) + d.Round(time.Minute).String()
				})
			},
			"wipe": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "really") == 0 {
					rdb.FlushDB(ctx)
					mem.Wipe()
				}
			},
			"time passes": func(rt *rapid.T) {
				d := time.Duration(rapid.IntRange(1, 2).Draw(rt, "hours")) * 61 * time.Minute
				pass(rt, rdb, d)
				ahead += d
			},
			"": func(rt *rapid.T) {
				for _, key := range []string{"x", "y"} {
					same(rt, "in use", func(i int) string { n, err := sets[i].InUse(ctx, key); return fmt.Sprint(n, err) })
				}
			},
		})
	})
}
