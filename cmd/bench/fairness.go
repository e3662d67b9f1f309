package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sre-agent/sre-agent/internal/bench"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/ingest"
	"github.com/sre-agent/sre-agent/services/runner"
	"github.com/sre-agent/sre-agent/services/throttle"
)

const (
	secret    = "bench"
	runTime   = 200 * time.Millisecond
	workers   = 16
	quietRate = 5 // a second
)

// fairness is one run of the bench.
type fairness struct {
	storm   int
	preload bool
	lasts   time.Duration
	sync    bool

	url  string
	logs io.Writer
	st   *store.Store

	mu      sync.Mutex
	commits map[int64]string     // of claimed runs, by id
	ended   map[string]time.Time // by commit
	noisy   int                  // ended runs of the storm
}

func benchFairness(ctx context.Context, dir string, flags *flag.FlagSet, args []string) error {
	f := &fairness{commits: map[int64]string{}, ended: map[string]time.Time{}}
	flags.IntVar(&f.storm, "storm", 1500, "runs of the noisy repository")
	flags.BoolVar(&f.preload, "preload", false, "write the storm's waiting runs into PostgreSQL instead of sending their webhooks")
	flags.DurationVar(&f.lasts, "for", 40*time.Second, "how long the quiet repository is watched")
	flags.BoolVar(&f.sync, "sync", true, "NATS syncs each write to disk, as the embedded server and deploy/nats.conf do")
	logFile := flags.String("log", "", "write the services' log here")
	_ = flags.Parse(args) // it exits by itself
	f.logs = io.Discard
	if *logFile != "" {
		out, err := os.Create(*logFile)
		if err != nil {
			return err
		}
		defer func() { _ = out.Close() }()
		f.logs = out
	}
	res, err := f.measure(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%s of quiet runs (%s each, %d a second), behind %d of another repository; NATS in this process, sync_interval %s;\n"+
		"PostgreSQL with fsync and redis-server as processes of their own; limit %d a repository, %d runner workers.\n",
		f.lasts, runTime, quietRate, f.storm, map[bool]string{true: "always", false: "2m"}[f.sync], perRepository, workers)
	return json.NewEncoder(os.Stdout).Encode(res)
}

// fairnessResult is the last line.
type fairnessResult struct {
	Tool  string  `json:"tool"`
	Storm int     `json:"storm"`
	P50   float64 `json:"quiet_p50_ms"`
	P99   float64 `json:"quiet_p99_ms"`
	Max   float64 `json:"quiet_max_ms"`
	// Behind is the same without the runs whose webhooks came while the storm's still did.
	Behind float64 `json:"quiet_p99_ms_after_the_storm_is_in"`
	Count  int     `json:"quiet_runs"`
	// StormSeconds is how long it took until each of the storm's webhooks had its answer.
	StormSeconds float64 `json:"storm_sent_seconds"`
	StormEnded   int     `json:"storm_runs_ended"`
}

func (f *fairness) measure(ctx context.Context, dir string) (res fairnessResult, err error) {
	serving, stopServices := context.WithCancel(ctx)
	defer stopServices()
	environ, stop, err := f.servers(ctx, dir)
	if err != nil {
		return res, err
	}
	defer stop()
	services, err := f.serve(serving, environ)
	if err != nil {
		return res, err
	}
	t, err := f.sendAll(ctx)
	stopServices()
	if werr := services(); err == nil {
		err = werr
	}
	if err != nil {
		return res, err
	}
	return f.result(ctx, t)
}

// servers starts PostgreSQL, redis-server and NATS, and returns the environment that names them.
func (f *fairness) servers(ctx context.Context, dir string) (environ map[string]string, stop func(), err error) {
	s, err := startServers(ctx, dir, f.sync)
	if err != nil {
		return nil, nil, err
	}
	f.st = s.st
	if f.preload {
		if err := s.fill(ctx, f.storm, 1, -time.Second); err != nil {
			s.stop()
			return nil, nil, err
		}
	}
	environ = s.environ()
	environ["RUNNER_WORKERS"] = fmt.Sprint(workers)
	return environ, s.stop, nil
}

// serve starts ingest, throttle and a runner whose pipeline only takes its time. wait returns when all have ended.
func (f *fairness) serve(ctx context.Context, environ map[string]string) (wait func() error, err error) {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range []struct {
		program config.Program
		serve   func(context.Context, *program.Env) error
	}{{config.Ingest, ingest.Serve}, {config.Throttle, throttle.Serve}, {config.Runner, f.runner}} {
		cfg, err := config.Load(s.program, environ)
		if err != nil {
			return nil, err
		}
		env, err := program.NewEnv(ctx, cfg, f.logs)
		if err != nil {
			return nil, err
		}
		started := make(chan struct{})
		g.Go(func() error {
			defer env.Close()
			return env.Serve(ctx, func(ctx context.Context, env *program.Env) error {
				close(started)
				return s.serve(ctx, env)
			})
		})
		select {
		case <-started:
		case <-ctx.Done():
			return nil, g.Wait()
		}
		base := "http://" + env.HTTP.Addr()
		if s.program == config.Ingest {
			f.url = base + "/webhooks/github"
		}
		if err := bench.AwaitReady(ctx, base); err != nil {
			return nil, errors.Join(err, g.Wait())
		}
	}
	return g.Wait, nil
}

// runner is the real runner with a pipeline that takes 200 ms and declines.
func (f *fairness) runner(ctx context.Context, env *program.Env) error {
	return serveRunner(ctx, env, busy{}, func(st *store.Store) runner.Store { return &watched{Store: st, f: f} })
}

// busy is a pipeline that takes its time.
type busy struct{}

func (busy) Execute(ctx context.Context, _ store.Run) runner.Result {
	t := time.NewTimer(runTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return runner.Result{State: run.Declined, Reason: "bench", Explanation: "the bench declines every run"}
}

// watched notes when the end of a run is committed.
type watched struct {
	*store.Store
	f *fairness
}

// ClaimRun remembers which commit the run is for.
func (w *watched) ClaimRun(ctx context.Context, c store.Claim) (store.Run, string, error) {
	claimed, refused, err := w.Store.ClaimRun(ctx, c)
	if err == nil && refused == "" {
		w.f.mu.Lock()
		w.f.commits[claimed.ID] = claimed.Failure.Commit
		w.f.mu.Unlock()
	}
	return claimed, refused, err
}

// EndRun notes the time.
func (w *watched) EndRun(ctx context.Context, id, fence int64, e store.End) error {
	err := w.Store.EndRun(ctx, id, fence, e)
	if err == nil {
		w.f.noteEnd(id)
	}
	return err
}

func (f *fairness) noteEnd(id int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.commits[id]
	f.ended[c] = time.Now()
	if !strings.HasPrefix(c, commitPrefix(quiet)) {
		f.noisy++
	}
}
