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

// statements prints those of PostgreSQL's statements that took longest, since the services started, for each of runs.
func (s *system) statements(ctx context.Context, most, runs int) error {
	rows, err := s.st.Pool().Query(ctx, `select calls, total_exec_time, shared_blks_hit + shared_blks_read, left(regexp_replace(query, '\s+', ' ', 'g'), 100)
		from pg_stat_statements order by total_exec_time desc limit $1`, most)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var calls, pages, took float64
		var query string
		if err := rows.Scan(&calls, &took, &pages, &query); err != nil {
			return err
		}
		n := float64(runs)
		fmt.Printf("%8.2f ms, %6.2f calls, %8.1f pages a run: %s\n", took/n, calls/n, pages/n, query)
	}
	return rows.Err()
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
