package lease

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// server is a Redis under test: the same suite runs on the in-process stand-in and on the real server.
type server struct {
	rdb *redis.Client
	// pass lets the server's clock move on by at least d.
	pass func(d time.Duration)
	// ttl is the time to live for leases that the case lets expire: on a real clock, one that is short to wait for.
	ttl time.Duration
	// slack bounds how much the clock may move by itself while a case looks at it; 0 on a virtual clock.
	slack time.Duration
}

func onMiniredis(t *testing.T) server {
	t.Helper()
	mini := miniredis.RunT(t)
	mini.ClockTTL(true)
	now := time.Date(2026, 3, 29, 1, 59, 0, 0, time.UTC)
	mini.SetTime(now)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return server{rdb: rdb, ttl: 20 * time.Minute, pass: func(d time.Duration) {
		now = now.Add(d)
		mini.SetTime(now)
	}}
}

func serverTime(t *testing.T, rdb *redis.Client) time.Time {
	t.Helper()
	now, err := rdb.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func eachServer(t *testing.T, test func(t *testing.T, s server)) {
	t.Helper()
	t.Run("in-process", func(t *testing.T) { t.Parallel(); test(t, onMiniredis(t)) })
	t.Run("redis-server", func(t *testing.T) { t.Parallel(); test(t, onRedisServer(t)) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, s server) {
		ctx, l := t.Context(), NewLock(s.rdb, "t:")
		acquire := func(token string, want bool, when string) {
			t.Helper()
			got, err := l.Acquire(ctx, "run", token, s.ttl)
			must(t, err)
			if got != want {
				t.Fatalf("%s: acquire by %s: got %v", when, token, got)
			}
		}
		acquire("a", true, "free")
		acquire("b", false, "held by a")
		acquire("a", true, "a did not see its answer and asks again")
		if err := l.Renew(ctx, "run", "b", s.ttl); !errors.Is(err, ErrLost) {
			t.Errorf("renewal of another's lock: %v, want ErrLost", err)
		}
		must(t, l.Release(ctx, "run", "b"))
		acquire("b", false, "a release by another token does nothing")

		must(t, l.Renew(ctx, "run", "a", 2*s.ttl))
		s.pass(s.ttl + time.Millisecond)
		acquire("b", false, "a has renewed past its first time to live")
		s.pass(s.ttl + time.Millisecond)
		if err := l.Renew(ctx, "run", "a", s.ttl); !errors.Is(err, ErrLost) {
			t.Errorf("renewal after expiry: %v, want ErrLost", err)
		}
		acquire("b", true, "a's lock has expired")
		must(t, l.Release(ctx, "run", "b"))
		acquire("c", true, "b has released")
		if _, err := l.Acquire(ctx, "run", "a", 0); err == nil {
			t.Error("a lock for ever was accepted")
		}
	})
}

func TestSlots(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, s server) {
		ctx, slots := t.Context(), NewSlots(s.rdb, "t:")
		take := func(repo, holder string, limit int, want bool, when string) {
			t.Helper()
			got, err := slots.Take(ctx, repo, holder, limit, s.ttl)
			must(t, err)
			if got != want {
				t.Fatalf("%s: take by %s: got %v", when, holder, got)
			}
		}
		take("r", "none", 0, false, "a limit of nothing")
		take("r", "a", 2, true, "the first")
		take("r", "b", 2, true, "the second")
		take("r", "c", 2, false, "full")
		take("r", "a", 2, true, "a asks again")
		take("r", "b", 1, true, "the limit was lowered under a holder")
		take("other", "c", 2, true, "another repository")
		must(t, slots.Release(ctx, "r", "a"))
		must(t, slots.Release(ctx, "r", "a"))
		take("r", "c", 2, true, "a has released")

		s.pass(s.ttl / 2)
		must(t, slots.Renew(ctx, "r", "b", s.ttl))
		s.pass(s.ttl/2 + time.Millisecond) // over for c, half for b
		if err := slots.Renew(ctx, "r", "c", s.ttl); !errors.Is(err, ErrLost) {
			t.Errorf("renewal of an expired slot: %v, want ErrLost", err)
		}
		if n, err := slots.InUse(ctx, "r"); err != nil || n != 1 {
			t.Errorf("in use: %d, %v; want 1", n, err)
		}
		take("r", "d", 2, true, "c's slot has expired")
		take("r", "e", 2, false, "b's has not")
		s.pass(s.ttl + time.Millisecond)
		if n := s.rdb.Exists(ctx, "t:slots:r", "t:slots:other").Val(); n != 0 {
			t.Errorf("%d keys are left of expired slots", n)
		}
	})
}

func TestRate(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, s server) {
		ctx, rate := t.Context(), NewRate(s.rdb, "t:")
		const perMinute, burst = 6, 3
		near := func(got, want time.Duration) bool { return got <= want && got >= want-s.slack }
		for i, want := range []time.Duration{0, 0, 0, 10, 20, 30, 40} {
			got, err := rate.Reserve(ctx, "r", perMinute, burst)
			must(t, err)
			if !near(got, want*time.Second) {
				t.Errorf("call %d of the storm waits %s, want %ds", i, got, want)
			}
		}
		if got, err := rate.Reserve(ctx, "other", perMinute, burst); err != nil || got != 0 {
			t.Errorf("another repository waits %s, %v", got, err)
		}
		s.pass(250 * time.Millisecond)
		got, err := rate.Reserve(ctx, "r", perMinute, burst)
		must(t, err)
		if want := 50*time.Second - 250*time.Millisecond; !near(got, want) {
			t.Errorf("after 250ms the next waits %s, want %s", got, want)
		}
		// The key lives until its place in time is over: 8 intervals from the first call, less what has passed.
		if left := s.rdb.PTTL(ctx, "t:rate:r").Val(); !near(left, 80*time.Second-250*time.Millisecond) {
			t.Errorf("the key lives %s longer", left)
		}
		for _, bad := range [][2]int{{0, 1}, {1, 0}, {-1, 1}} {
			if _, err := rate.Reserve(ctx, "r", bad[0], bad[1]); err == nil {
				t.Errorf("rate %d with burst %d was accepted", bad[0], bad[1])
			}
		}
	})
}

func TestScriptsSurviveALostScriptCache(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, s server) {
		l := NewLock(s.rdb, "t:")
		_, err := l.Acquire(t.Context(), "k", "a", s.ttl)
		must(t, err)
		must(t, s.rdb.ScriptFlush(t.Context()).Err())
		ok, err := l.Acquire(t.Context(), "k", "b", s.ttl)
		if ok || err != nil {
			t.Errorf("got %v, %v; want the lock to be held still", ok, err)
		}
	})
}

func TestAnUnreachableServerIsAnErrorAndNotAnAnswer(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(t.TempDir(), "none.sock"), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	ctx := t.Context()
	if ok, err := NewLock(rdb, "").Acquire(ctx, "k", "a", time.Second); ok || err == nil {
		t.Errorf("acquire: %v, %v", ok, err)
	}
	if err := NewLock(rdb, "").Renew(ctx, "k", "a", time.Second); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("renew: %v, which must not be read as lost", err)
	}
	if ok, err := NewSlots(rdb, "").Take(ctx, "k", "a", 1, time.Second); ok || err == nil {
		t.Errorf("take: %v, %v", ok, err)
	}
	if _, err := NewRate(rdb, "").Reserve(ctx, "k", 1, 1); err == nil {
		t.Error("reserve: no error")
	}
}
