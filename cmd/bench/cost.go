package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sre-agent/sre-agent/internal/bench"
)

// spent is what the servers have done so far.
type spent struct {
	statements, commits, messages, redis float64
	cpu                                  map[string]time.Duration // by process
}

func (s *system) cost(ctx context.Context) (c spent, err error) {
	err = s.st.Pool().QueryRow(ctx, `select (select coalesce(sum(calls), 0) from pg_stat_statements), (select xact_commit from pg_stat_database where datname = current_database())`).
		Scan(&c.statements, &c.commits)
	if err != nil {
		return c, err
	}
	c.messages = float64(s.nats.MessagesIn())
	c.cpu = map[string]time.Duration{
		"postgres": bench.CPUTime(s.pg.PID()), "redis": bench.CPUTime(s.redis.PID()), "bench": bench.OwnCPUTime(os.Getpid()),
	}
	for _, part := range s.services {
		c.cpu[part.Name] = part.CPUTime()
	}
	opts, err := redis.ParseURL(s.redis.URL())
	if err != nil {
		return c, err
	}
	rdb := redis.NewClient(opts)
	defer func() { _ = rdb.Close() }()
	info, err := rdb.InfoMap(ctx, "stats").Result()
	if err != nil {
		return c, err
	}
	_, err = fmt.Sscan(info["Stats"]["total_commands_processed"], &c.redis)
	return c, err
}

// perRun is how many milliseconds each process worked for one of n runs.
func perRun(before, after spent, n int) map[string]float64 {
	out := map[string]float64{}
	for name, used := range after.cpu {
		out[name] = round((used-before.cpu[name]).Seconds()*1000/float64(n), 100)
	}
	return out
}

func total(parts map[string]float64) (sum float64) {
	for _, part := range parts {
		sum += part
	}
	return sum
}
