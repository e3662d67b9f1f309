package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/bench"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/services/ingest"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/services/runner"
	"github.com/sre-agent/sre-agent/services/throttle"
)

// servePart is the argument that makes this program one of the services, in a process of its own.
const servePart = "serve"

// serve is one of the services, configured by its environment. It prints where it listens; a runner prints a line for
// each run whose end it has committed: the commit, and the time in nanoseconds since 1970. A runner's pipeline is the
// bench's: it declines, or with BENCH_FIX it has the prepared fix.
func serve(ctx context.Context, service string) error {
	ctx, cancel := bench.EndWithInput(ctx)
	defer cancel()
	environ := config.Environ()
	if dir := environ["BENCH_PROFILES"]; dir != "" {
		if err := startProfile(filepath.Join(dir, service+".prof")); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	cfg, err := config.Load(config.Program(service), environ)
	if err != nil {
		return err
	}
	serve := map[config.Program]func(context.Context, *program.Env) error{
		config.Ingest: ingest.Serve, config.Throttle: throttle.Serve, config.Publisher: publisher.Serve,
		config.Runner: func(ctx context.Context, env *program.Env) error {
			return serveRunner(ctx, env, atOnce{fix: environ["BENCH_FIX"] != ""}, func(st *store.Store) runner.Store {
				return &saying{Store: st}
			})
		},
	}[config.Program(service)]
	return program.Run(ctx, cfg, os.Stderr, func(ctx context.Context, env *program.Env) error {
		fmt.Println(env.HTTP.Addr())
		return serve(ctx, env)
	})
}

// atOnce is a pipeline that takes no time.
type atOnce struct{ fix bool }

// Execute declines, or has a fix of the file that every repository of the bench has.
func (p atOnce) Execute(_ context.Context, r store.Run) runner.Result {
	if !p.fix {
		return runner.Result{State: run.Declined, Reason: "bench", Explanation: "the bench declines every run"}
	}
	report := evidence.Report{
		Job: "lint", Excerpt: []evidence.Line{{Number: 1, Text: "hello.txt: not a greeting"}},
		Check:  &evidence.Check{Command: "grep -q World hello.txt", Before: evidence.CheckRun{ExitCode: 1}, After: evidence.CheckRun{}},
		Policy: &evidence.Policy{Class: "safe", Danger: 5, Parts: []string{"files 5"}},
	}
	return runner.Result{State: run.Fixed, Fix: store.Fix{
		BaseCommit: r.Failure.Commit, Diff: []byte(oneLine), Digest: patch.Digest([]byte(oneLine)), Fixer: "bench", Title: "Greet the world",
		Explanation: "The check was red and is green with this change.", Fingerprint: "bench " + r.Failure.Commit, Evidence: report.JSON(),
	}}
}

// oneLine is the prepared fix.
const oneLine = "diff --git a/hello.txt b/hello.txt\n--- a/hello.txt\n+++ b/hello.txt\n@@ -1 +1 @@\n-hello\n+Hello World!\n"

// saying is a store that says when a run's end is committed.
type saying struct {
	*store.Store
	commits sync.Map // of claimed runs, by id
}

// ClaimRun remembers which commit the run is for.
func (s *saying) ClaimRun(ctx context.Context, c store.Claim) (store.Run, string, error) {
	claimed, refused, err := s.Store.ClaimRun(ctx, c)
	if err == nil && refused == "" {
		s.commits.Store(claimed.ID, claimed.Failure.Commit)
	}
	return claimed, refused, err
}

// EndRun says so.
func (s *saying) EndRun(ctx context.Context, id, fence int64, e store.End) error {
	err := s.Store.EndRun(ctx, id, fence, e)
	if commit, ok := s.commits.LoadAndDelete(id); ok && err == nil {
		fmt.Println(commit, time.Now().UnixNano())
	}
	return err
}
