package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

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
	behind  string
	workers int
	// statements is how many of PostgreSQL's statements are told of after each part.
	statements int
	// profiles is the folder that the services' CPU profiles go to; empty: none are taken.
	profiles string
	// more are further settings of the services in a flood.
	more map[string]string
}

// pipelineRow is one flood.
type pipelineRow struct {
	Repositories int     `json:"repositories"`
	Waiting      int     `json:"waiting"` // runs of other repositories, meanwhile
	Runs         int     `json:"runs"`
	EndedPerS    float64 `json:"ended_per_s"`
	// What one run costs: PostgreSQL's statements and commits, messages that NATS took in, and Redis' commands. What the
	// services do while they wait is in it.
	Statements float64 `json:"pg_statements_per_run"`
	Commits    float64 `json:"pg_commits_per_run"`
	Messages   float64 `json:"nats_messages_per_run"`
	Redis      float64 `json:"redis_commands_per_run"`
	// CPU is by process: the sender and NATS are "bench".
	CPU      map[string]float64 `json:"cpu_ms_per_run"`
	MemoryMB map[string]float64 `json:"memory_mb"`
}

// pipelineResult is the last line. Its first figures are those of the flood over 100 repositories.
type pipelineResult struct {
	Tool      string  `json:"tool"`
	EndedPerS float64 `json:"ended_per_s"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	PRsPerS   float64 `json:"prs_per_s"`
	Sync      string  `json:"nats_sync_interval"`
	Rate      int     `json:"steady_per_s"`
	Steady    int     `json:"steady_runs"`
	PRs       int     `json:"prs"`
	// CPUPerPR is by process, with the git programs that each has started: the sender, NATS and the local forge are "bench".
	CPUPerPR map[string]float64 `json:"cpu_ms_per_pr"`
	Floods   []pipelineRow      `json:"floods"`
}

const headline = 100 // repositories of the flood that the targets speak of

func benchPipeline(ctx context.Context, dir string, flags *flag.FlagSet, args []string) error {
	p := &pipeline{}
	flags.BoolVar(&p.sync, "sync", true, "NATS syncs each delivery to disk, as the embedded server and deploy/nats.conf do")
	flags.IntVar(&p.storm, "storm", 3000, "failures of a flood")
	flags.StringVar(&p.repos, "repositories", "1,32,100,256", "over how many repositories a flood goes")
	flags.StringVar(&p.behind, "behind", "1000,1000000", "behind how many waiting runs a flood over 100 repositories goes")
	flags.IntVar(&p.rate, "rate", 50, "failures a second of the steady part")
	flags.DurationVar(&p.lasts, "for", 20*time.Second, "how long the steady part lasts")
	flags.IntVar(&p.prs, "prs", 400, "pull requests to open")
	flags.IntVar(&p.workers, "workers", 16, "runner workers and publisher workers")
	flags.IntVar(&p.statements, "statements", 0, "say of how many statements, those that took PostgreSQL longest, what a run cost")
	flags.StringVar(&p.profiles, "profiles", "", "a folder for a CPU profile of each service, the last one that ran")
	_ = flags.Parse(args) // it exits by itself
	res := pipelineResult{Tool: "bench-pipeline", Sync: map[bool]string{true: "always", false: "2m"}[p.sync], Rate: p.rate}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "repositories\twaiting\truns\tended/s\tPG statements/run\tPG commits/run\tNATS messages/run\tRedis commands/run\tCPU ms/run\tmemory MB\t")
	for i, f := range p.floods() {
		row, err := p.flood(ctx, filepath.Join(dir, fmt.Sprint("flood", i)), f)
		if err != nil {
			return fmt.Errorf("a flood over %d repositories, behind %d runs: %w", f.repositories, f.waiting, err)
		}
		if res.Floods = append(res.Floods, row); f == (flood{headline, 0}) || res.EndedPerS == 0 {
			res.EndedPerS = row.EndedPerS
		}
		fmt.Fprintf(out, "%d\t%d\t%d\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\tingest %.0f, throttle %.0f, runner %.0f\t\n", f.repositories, f.waiting, row.Runs, row.EndedPerS,
			row.Statements, row.Commits, row.Messages, row.Redis, total(row.CPU), row.MemoryMB["ingest"], row.MemoryMB["throttle"], row.MemoryMB["runner"])
	}
	_ = out.Flush()
	if err := p.steady(ctx, filepath.Join(dir, "steady"), &res); err != nil {
		return fmt.Errorf("the steady part: %w", err)
	}
	fmt.Printf("%d failures a second over %d repositories: %.1f ms (p50), %.1f ms (p99) from the webhook to the run's end\n", p.rate, headline, res.P50, res.P99)
	if err := p.pullRequests(ctx, filepath.Join(dir, "prs"), &res); err != nil {
		return fmt.Errorf("pull requests: %w", err)
	}
	fmt.Printf("%d pull requests on the local forge: %.1f a second, %.1f ms of the processors' time each\n", res.PRs, res.PRsPerS, total(res.CPUPerPR))
	return json.NewEncoder(os.Stdout).Encode(res)
}

// flood is over how many repositories one goes, and how many runs of others wait meanwhile.
type flood struct{ repositories, waiting int }

func (p *pipeline) floods() (all []flood) {
	for _, n := range numbers(p.repos) {
		all = append(all, flood{n, 0})
	}
	for _, n := range numbers(p.behind) {
		all = append(all, flood{headline, n})
	}
	return all
}

// flood sends the storm as fast as it is answered, and waits until every run has ended.
func (p *pipeline) flood(ctx context.Context, dir string, f flood) (row pipelineRow, err error) {
	s, err := p.start(ctx, dir, f.waiting, p.more, "ingest", "throttle", "runner")
	if err != nil {
		return row, err
	}
	defer s.close()
	if err := s.warmUp(ctx); err != nil {
		return row, err
	}
	bodies := make([][]byte, p.storm)
	for n := range bodies {
		bodies[n] = body(int64(1+n%f.repositories), n)
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
	if err := s.statements(ctx, p.statements, p.storm); err != nil {
		return row, err
	}
	runs := float64(p.storm)
	row = pipelineRow{
		Repositories: f.repositories, Waiting: f.waiting, Runs: p.storm, EndedPerS: round(runs/took.Seconds(), 10), MemoryMB: map[string]float64{},
		Statements: round((after.statements-before.statements)/runs, 10), Commits: round((after.commits-before.commits)/runs, 10),
		Messages: round((after.messages-before.messages)/runs, 10), Redis: round((after.redis-before.redis)/runs, 10),
		CPU: perRun(before, after, p.storm),
	}
	for _, part := range s.services {
		row.MemoryMB[part.Name] = round(float64(part.PeakMemory())/(1<<20), 1)
	}
	return row, nil
}

// steady sends at a fixed rate; a run's time counts from when its failure was due to be sent.
func (p *pipeline) steady(ctx context.Context, dir string, res *pipelineResult) error {
	s, err := p.start(ctx, dir, 0, nil, "ingest", "throttle", "runner")
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
	s, err := p.start(ctx, dir, 0, map[string]string{
		"BENCH_FIX": "1", "GITHUB_API_URL": forge.APIURL(), "GITHUB_GIT_URL": forge.URL(), "GITHUB_WRITE_TOKEN": token,
		// Every bound is asked, and none stands in the way of what is measured.
		"REPO_OPEN_PULL_REQUESTS": "100000", "REPO_PULL_REQUESTS_PER_HOUR": "100000", "FORGE_WRITES_PER_MINUTE": "100000",
		"FORGE_WRITES_PER_HOUR": "100000", "INCIDENT_WINDOW_SECONDS": "0",
	}, "ingest", "throttle", "runner", "publisher")
	if err != nil {
		return err
	}
	defer s.close()
	before, err := s.cost(ctx)
	if err != nil {
		return err
	}
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
	after, err := s.cost(ctx)
	if err != nil {
		return err
	}
	if err := s.statements(ctx, p.statements, len(bodies)); err != nil {
		return err
	}
	res.CPUPerPR = perRun(before, after, len(bodies))
	if v := forge.Violations(); len(v) > 0 {
		return fmt.Errorf("the forge was asked what GitHub does not take: %s", v[0])
	}
	res.PRs, res.PRsPerS = len(bodies), round(float64(len(bodies))/took.Seconds(), 10)
	return nil
}
