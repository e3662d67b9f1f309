package testenv

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisLease is how long a database stays taken when its test never gives it back: longer than any test program.
const redisLease = 30 * time.Minute

// takeDatabase marks the first free database of 1..ARGV[1]-1 in database 0 and returns its number, or 0. It starts
// at a place of its own, so that programs do not all fight over the first.
var takeDatabase = redis.NewScript(`
local n = tonumber(ARGV[1]) - 1
local from = redis.call('INCR', 'testenv:next')
for i = 0, n - 1 do
	local db = (from + i) % n + 1
	if redis.call('SET', 'testenv:db:' .. db, ARGV[2], 'NX', 'PX', ARGV[3]) then return db end
end
return 0
`)

// Redis returns a client of a real Redis database that is the test's own until its end, and empty.
func Redis(t testing.TB) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(RedisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// RedisURL is the address of such a database, for programs that the test starts. Databases share one server: its
// FLUSHALL, SCRIPT FLUSH, CONFIG SET and channels are felt by other tests.
func RedisURL(t testing.TB) string {
	t.Helper()
	base := redisServer.get(t)
	ctx, cancel := setUpContext(t)
	defer cancel()
	admin, err := redisAt(base, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	db, err := claimDatabase(ctx, admin, t.Name())
	if err != nil {
		t.Fatalf("take a Redis database: %v", err)
	}
	t.Cleanup(func() {
		if err := returnDatabase(base, db); err != nil {
			t.Errorf("give Redis database %d back: %v", db, err)
		}
	})
	own, err := withDatabase(base, db)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func claimDatabase(ctx context.Context, admin *redis.Client, who string) (int, error) {
	conf, err := admin.ConfigGet(ctx, "databases").Result()
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		db, err := takeDatabase.Run(ctx, admin, nil, conf["databases"], who, redisLease.Milliseconds()).Int()
		if err != nil || db > 0 {
			return db, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("all %s databases are taken: %w", conf["databases"], ctx.Err())
		}
	}
}

func returnDatabase(base string, db int) error {
	ctx, cancel := context.WithTimeout(context.Background(), setUpWithin)
	defer cancel()
	own, err := redisAt(base, db)
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	_, err = own.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.FlushDB(ctx)
		p.Select(ctx, 0)
		p.Del(ctx, "testenv:db:"+strconv.Itoa(db))
		return nil
	})
	return err
}

func redisAt(base string, db int) (*redis.Client, error) {
	opts, err := redis.ParseURL(base)
	if err != nil {
		return nil, err
	}
	opts.DB, opts.PoolSize = db, 1
	return redis.NewClient(opts), nil
}

// withDatabase names the database the way the URL's scheme does it: in the query for unix, else in the path.
func withDatabase(base string, db int) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	if u.Scheme == "unix" {
		q := u.Query()
		q.Set("db", strconv.Itoa(db))
		u.RawQuery = q.Encode()
	} else {
		u.Path = "/" + strconv.Itoa(db)
	}
	return u.String(), nil
}
