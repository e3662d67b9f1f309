package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

// pipeline is the bench of the whole way: the four services as processes of their own, on real servers.
type pipeline struct {
	sync    bool
	storm   int
	rate    int
	lasts   time.Duration
	prs     int
	repos   string
	workers int
	log     *os.File
}

// pipelineRow is one flood.
type pipelineRow struct {
	Repositories int     `json:"repositories"`
	Runs         int     `json:"runs"`
	EndedPerS    float64 `json:"ended_per_s"`
	// What one run costs: PostgreSQL's statements and commits, messages that NATS took in, and Redis' commands. What the
	// services do while they wait is in it.
	Statements float64            `json:"pg_statements_per_run"`
	Commits    float64            `json:"pg_commits_per_run"`
	Messages   float64            `json:"nats_messages_per_run"`
	Redis      float64            `json:"redis_commands_per_run"`
	MemoryMB   map[string]float64 `json:"memory_mb"`
}

// pipelineResult is the last line. Its first figures are those of the flood over 100 repositories.
type pipelineResult struct {
	Tool      string        `json:"tool"`
	EndedPerS float64       `json:"ended_per_s"`
	P50       float64       `json:"p50_ms"`
	P99       float64       `json:"p99_ms"`
	Max       float64       `json:"max_ms"`
	PRsPerS   float64       `json:"prs_per_s"`
	Sync      string        `json:"nats_sync_interval"`
	Rate      int           `json:"steady_per_s"`
	Steady    int           `json:"steady_runs"`
	PRs       int           `json:"prs"`
	Floods    []pipelineRow `json:"floods"`
}

const headline = 100 // repositories of the flood that the targets speak of

func benchPipeline(ctx context.Context, dir string, flags *flag.FlagSet, args []string) error {
	p := &pipeline{}
	flags.BoolVar(&p.sync, "sync", true, "NATS syncs each delivery to disk, as the embedded server and deploy/nats.conf do")
	flags.IntVar(&p.storm, "storm", 3000, "failures of a flood")
	flags.StringVar(&p.repos, "repositories", "1,32,100,256", "over how many repositories a flood goes")
	flags.IntVar(&p.rate, "rate", 50, "failures a second of the steady part")
	flags.DurationVar(&p.lasts, "for", 20*time.Second, "how long the steady part lasts")
	flags.IntVar(&p.prs, "prs", 400, "pull requests to open")
	flags.IntVar(&p.workers, "workers", 16, "runner workers and publisher workers")
	logFile := flags.String("log", os.DevNull, "write the services' log here")
	_ = flags.Parse(args) // it exits by itself
	var err error
	if p.log, err = os.Create(*logFile); err != nil {
		return err
	}
	defer func() { _ = p.log.Close() }()
	res := pipelineResult{Tool: "bench-pipeline", Sync: map[bool]string{true: "always", false: "2m"}[p.sync], Rate: p.rate}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "repositories\truns\tended/s\tPG statements/run\tPG commits/run\tNATS messages/run\tRedis commands/run\tmemory MB\t")
	for i, n := range numbers(p.repos) {
		row, err := p.flood(ctx, filepath.Join(dir, fmt.Sprint("flood", i)), n)
		if err != nil {
			return fmt.Errorf("a flood over %d repositories: %w", n, err)
		}
		if res.Floods = append(res.Floods, row); n == headline || res.EndedPerS == 0 {
			res.EndedPerS = row.EndedPerS
		}
		fmt.Fprintf(out, "%d\t%d\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\tingest %.0f, throttle %.0f, runner %.0f\t\n", n, row.Runs, row.EndedPerS,
			row.Statements, row.Commits, row.Messages, row.Redis, row.MemoryMB["ingest"], row.MemoryMB["throttle"], row.MemoryMB["runner"])
	}
	_ = out.Flush()
	if err := p.steady(ctx, filepath.Join(dir, "steady"), &res); err != nil {
		return fmt.Errorf("the steady part: %w", err)
	}
	fmt.Printf("%d failures a second over %d repositories: %.1f ms (p50), %.1f ms (p99) from the webhook to the run's end\n", p.rate, headline, res.P50, res.P99)
	if err := p.pullRequests(ctx, filepath.Join(dir, "prs"), &res); err != nil {
		return fmt.Errorf("pull requests: %w", err)
	}
	fmt.Printf("%d pull requests on the local forge: %.1f a second\n", res.PRs, res.PRsPerS)
	return json.NewEncoder(os.Stdout).Encode(res)
}

// system is the servers and the services of one measurement.
type system struct {
	*servers
	url      string
	children []*child
	client   *http.Client

	mu    sync.Mutex
	ended map[string]time.Time // by commit
	more  chan struct{}        // a run has ended
}

func (p *pipeline) start(ctx context.Context, dir string, more map[string]string, services ...string) (*system, error) {
	srv, err := startServers(ctx, dir, p.sync)
	if err != nil {
		return nil, err
	}
	s := &system{
		servers: srv, ended: map[string]time.Time{}, more: make(chan struct{}, 1),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second},
	}
	environ := srv.environ()
	environ["RUNNER_WORKERS"], environ["PUBLISHER_WORKERS"] = fmt.Sprint(p.workers), fmt.Sprint(p.workers)
	environ["DATA_DIR"], environ["LOG_LEVEL"] = filepath.Join(dir, "data"), "warn"
	for k, v := range more {
		environ[k] = v
	}
	for _, name := range services {
		c, err := startChild(ctx, name, environ, p.log, s.note)
		if err != nil {
			s.close()
			return nil, err
		}
		if s.children = append(s.children, c); name == "ingest" {
			s.url = c.url + "/webhooks/github"
		}
	}
	return s, nil
}

func (s *system) close() {
	for _, c := range s.children {
		c.stop()
	}
	s.stop()
}

func (s *system) note(commit string, at time.Time) {
	s.mu.Lock()
	s.ended[commit] = at
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// await waits until n runs have ended.
func (s *system) await(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		have := len(s.ended)
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-s.more:
		case <-time.After(time.Minute):
			return fmt.Errorf("%d of %d runs have ended, and none in the last minute", have, n)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// flood sends the storm as fast as it is answered, and waits until every run has ended.
func (p *pipeline) flood(ctx context.Context, dir string, repositories int) (row pipelineRow, err error) {
	s, err := p.start(ctx, dir, nil, "ingest", "throttle", "runner")
	if err != nil {
		return row, err
	}
	defer s.close()
	if err := s.warmUp(ctx); err != nil {
		return row, err
	}
	bodies := make([][]byte, p.storm)
	for n := range bodies {
		bodies[n] = body(int64(1+n%repositories), n)
	}
	before, err := s.cost(ctx)
	if err != nil {
		return row, err
	}
	begin := time.Now()
	g, sending := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for n, b := range bodies {
		g.Go(func() error { return send(sending, s.client, s.url, fmt.Sprint("flood-", n), b) })
	}
	if err := g.Wait(); err != nil {
		return row, err
	}
	if err := s.await(ctx, p.storm+1); err != nil {
		return row, err
	}
	took := s.last().Sub(begin)
	after, err := s.cost(ctx)
	if err != nil {
		return row, err
	}
	runs := float64(p.storm)
	row = pipelineRow{
		Repositories: repositories, Runs: p.storm, EndedPerS: round(runs/took.Seconds(), 10), MemoryMB: map[string]float64{},
		Statements: round((after.statements-before.statements)/runs, 10), Commits: round((after.commits-before.commits)/runs, 10),
		Messages: round((after.messages-before.messages)/runs, 10), Redis: round((after.redis-before.redis)/runs, 10),
	}
	for _, c := range s.children {
		row.MemoryMB[c.service] = c.memory()
	}
	return row, nil
}

// warmUp sends one failure and waits until its run has ended.
func (s *system) warmUp(ctx context.Context) error {
	if err := send(ctx, s.client, s.url, "warm-up", body(1<<20, 0)); err != nil {
		return err
	}
	return s.await(ctx, 1)
}

// last is when the last run ended.
func (s *system) last() (at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.ended {
		if end.After(at) {
			at = end
		}
	}
	return at
}

// steady sends at a fixed rate; a run's time counts from when its failure was due to be sent.
func (p *pipeline) steady(ctx context.Context, dir string, res *pipelineResult) error {
	s, err := p.start(ctx, dir, nil, "ingest", "throttle", "runner")
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.warmUp(ctx); err != nil {
		return err
	}
	bodies := make([][]byte, int(p.lasts.Seconds())*p.rate)
	for n := range bodies {
		bodies[n] = body(int64(1+n%headline), n)
	}
	due := make(map[string]time.Time, len(bodies))
	g, sending := errgroup.WithContext(ctx)
	begin := time.Now()
	for n, b := range bodies {
		at := begin.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
		due[commit(int64(1+n%headline), n)] = at
		select {
		case <-time.After(time.Until(at)):
		case <-sending.Done():
		}
		g.Go(func() error { return send(sending, s.client, s.url, fmt.Sprint("steady-", n), b) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := s.await(ctx, len(bodies)+1); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]time.Duration, 0, len(due))
	for c, at := range due {
		all = append(all, s.ended[c].Sub(at))
	}
	res.Steady, res.P50, res.P99, res.Max = len(all), ms(quantile(all, 50)), ms(quantile(all, 99)), ms(quantile(all, 100))
	return nil
}

// pullRequests floods, with a runner that has a prepared fix, and waits until each run has its pull request.
func (p *pipeline) pullRequests(ctx context.Context, dir string, res *pipelineResult) error {
	const token = "bench-write-token"
	forge, err := forgetest.Start(forgetest.Options{Dir: filepath.Join(dir, "forge"), WriteTokens: []string{token}, ReadTokens: []string{"unused"}})
	if err != nil {
		return err
	}
	defer func() { _ = forge.Close() }()
	bodies, err := prepareRepositories(ctx, forge, filepath.Join(dir, "forge"), headline, p.prs)
	if err != nil {
		return err
	}
	s, err := p.start(ctx, dir, map[string]string{
		"BENCH_FIX": "1", "GITHUB_API_URL": forge.APIURL(), "GITHUB_GIT_URL": forge.URL(), "GITHUB_WRITE_TOKEN": token,
	}, "ingest", "throttle", "runner", "publisher")
	if err != nil {
		return err
	}
	defer s.close()
	begin := time.Now()
	g, sending := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for n, b := range bodies {
		g.Go(func() error { return send(sending, s.client, s.url, fmt.Sprint("pr-", n), b) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took, err := s.awaitPublished(ctx, len(bodies), begin)
	if err != nil {
		return err
	}
	if v := forge.Violations(); len(v) > 0 {
		return fmt.Errorf("the forge was asked what GitHub does not take: %s", v[0])
	}
	res.PRs, res.PRsPerS = len(bodies), round(float64(len(bodies))/took.Seconds(), 10)
	return nil
}

// awaitPublished waits until every run has ended, and fails when one has not ended with a pull request.
func (s *system) awaitPublished(ctx context.Context, n int, begin time.Time) (time.Duration, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(5 * time.Minute)
	defer late.Stop()
	for {
		var ended, published int
		var last *time.Time
		var why *string
		err := s.st.Pool().QueryRow(ctx, `select count(ended_at), count(*) filter (where state = 'published'), max(ended_at),
			min(reason || ': ' || explanation) filter (where ended_at is not null and state <> 'published') from runs`).Scan(&ended, &published, &last, &why)
		switch {
		case err != nil:
			return 0, err
		case ended > published:
			return 0, fmt.Errorf("%d runs have ended without a pull request, one as %s", ended-published, *why)
		case published == n:
			return last.Sub(begin), nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return 0, fmt.Errorf("%d of %d runs have their pull request after five minutes", published, n)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// spent is what the servers have done so far.
type spent struct{ statements, commits, messages, redis float64 }

func (s *system) cost(ctx context.Context) (c spent, err error) {
	err = s.st.Pool().QueryRow(ctx, `select (select coalesce(sum(calls), 0) from pg_stat_statements), (select xact_commit from pg_stat_database where datname = current_database())`).
		Scan(&c.statements, &c.commits)
	if err != nil {
		return c, err
	}
	c.messages = float64(s.nats.MessagesIn())
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
