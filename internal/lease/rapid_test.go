package lease

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// clockedRedis is one in-process server for all runs of a property; each run gets its own prefix.
type clockedRedis struct {
	mini *miniredis.Miniredis
	rdb  *redis.Client
	now  time.Time
	runs int
}

func newClockedRedis(t *testing.T) *clockedRedis {
	t.Helper()
	mini := miniredis.RunT(t)
	mini.ClockTTL(true)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	c := &clockedRedis{mini: mini, rdb: rdb, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	mini.SetTime(c.now)
	return c
}

func (c *clockedRedis) pass(d time.Duration) {
	c.now = c.now.Add(d)
	c.mini.SetTime(c.now)
}

func (c *clockedRedis) prefix() string {
	c.runs++
	return fmt.Sprintf("run%d:", c.runs)
}

func TestNeverMoreSlotsThanTheLimit(t *testing.T) {
	t.Parallel()
	c := newClockedRedis(t)
	rapid.Check(t, func(rt *rapid.T) {
		slots := NewSlots(c.rdb, c.prefix())
		limit := rapid.IntRange(1, 3).Draw(rt, "limit")
		held := map[string]time.Time{} // what the callers believe: holder and expiry
		live := func() (n int) {
			for _, expiry := range held {
				if expiry.After(c.now) {
					n++
				}
			}
			return n
		}
		holder := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		ttl := rapid.Custom(func(rt *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(1, 50).Draw(rt, "ttl")) * time.Millisecond
		})
		rt.Repeat(map[string]func(*rapid.T){
			"take": func(rt *rapid.T) {
				h, d := holder.Draw(rt, "holder"), ttl.Draw(rt, "ttl")
				want := held[h].After(c.now) || live() < limit
				got, err := slots.Take(t.Context(), "r", h, limit, d)
				if err != nil || got != want {
					rt.Fatalf("take by %s: %v, %v; want %v of %v", h, got, err, want, held)
				}
				if got {
					held[h] = c.now.Add(d)
				}
			},
			"renew": func(rt *rapid.T) {
				h, d := holder.Draw(rt, "holder"), ttl.Draw(rt, "ttl")
				err := slots.Renew(t.Context(), "r", h, d)
				if (err == nil) != held[h].After(c.now) {
					rt.Fatalf("renewal by %s: %v; held %v", h, err, held)
				}
				if err == nil {
					held[h] = c.now.Add(d)
				}
			},
			"release": func(rt *rapid.T) {
				h := holder.Draw(rt, "holder")
				if err := slots.Release(t.Context(), "r", h); err != nil {
					rt.Fatal(err)
				}
				delete(held, h)
			},
			"time passes": func(rt *rapid.T) {
				c.pass(time.Duration(rapid.IntRange(1, 40).Draw(rt, "ms")) * time.Millisecond)
			},
			"": func(rt *rapid.T) {
				if n := live(); n > limit {
					rt.Fatalf("%d slots are held, the limit is %d: %v", n, limit, held)
				}
			},
		})
	})
}

func TestRateNeverAdmitsMoreThanBurstPlusRateTimesTime(t *testing.T) {
	t.Parallel()
	c := newClockedRedis(t)
	rapid.Check(t, func(rt *rapid.T) {
		rate := NewRate(c.rdb, c.prefix())
		perMinute := rapid.IntRange(1, 1000).Draw(rt, "per minute")
		burst := rapid.IntRange(1, 5).Draw(rt, "burst")
		var due []time.Time
		for range rapid.IntRange(1, 40).Draw(rt, "calls") {
			c.pass(time.Duration(rapid.IntRange(0, 120_000_000/perMinute).Draw(rt, "gap in us")) * time.Microsecond)
			wait, err := rate.Reserve(t.Context(), "r", perMinute, burst)
			if err != nil {
				rt.Fatal(err)
			}
			due = append(due, c.now.Add(wait))
		}
		for i := range due {
			for j := i; j < len(due); j++ {
				span := due[j].Sub(due[i])
				if span < 0 {
					rt.Fatalf("call %d is due before call %d", j, i)
				}
				allowed := float64(burst) + span.Minutes()*float64(perMinute)
				if n := j - i + 1; float64(n) > allowed+1e-6 {
					rt.Fatalf("%d calls in %s; burst %d and %d a minute allow %.3f", n, span, burst, perMinute, allowed)
				}
			}
		}
	})
}
