package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

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

// What a child says on its standard output, a line each.
const (
	sayReady = "ready" // and its address
	sayEnded = "ended" // a commit, and when its run's end was committed, in nanoseconds since 1970
)

// serveChild is a process of its own that is one of the services, configured by its environment. The runner's pipeline
// is the bench's: it declines, or with BENCH_FIX it has the prepared fix.
func serveChild(ctx context.Context, service string) error {
	environ := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		environ[k] = v
	}
	cfg, err := config.Load(config.Program(service), environ)
	if err != nil {
		return err
	}
	env, err := program.NewEnv(ctx, cfg, os.Stderr)
	if err != nil {
		return err
	}
	defer env.Close()
	serve := map[config.Program]func(context.Context, *program.Env) error{
		config.Ingest: ingest.Serve, config.Throttle: throttle.Serve, config.Publisher: publisher.Serve,
		config.Runner: func(ctx context.Context, env *program.Env) error {
			return serveRunner(ctx, env, atOnce{fix: environ["BENCH_FIX"] != ""}, func(st *store.Store) runner.Store {
				return &saying{Store: st}
			})
		},
	}[config.Program(service)]
	return env.Serve(ctx, func(ctx context.Context, env *program.Env) error {
		fmt.Println(sayReady, "http://"+env.HTTP.Addr())
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
		fmt.Println(sayEnded, commit, time.Now().UnixNano())
	}
	return err
}

// child is one of the services in a process of its own.
type child struct {
	service string
	cmd     *exec.Cmd
	url     string
	read    chan struct{} // closed when its output has ended
}

// startChild starts a service and waits until it is ready. ended hears of each run's end.
func startChild(ctx context.Context, service string, environ map[string]string, log *os.File, ended func(commit string, at time.Time)) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{service: service, cmd: exec.Command(self, "serve", service), read: make(chan struct{})} //nolint:noctx // stop ends it
	c.cmd.Stderr = log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for k, v := range environ {
		c.cmd.Env = append(c.cmd.Env, k+"="+v)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	address := make(chan string, 1)
	go func() {
		defer close(c.read)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			switch word := strings.Fields(lines.Text()); {
			case len(word) == 2 && word[0] == sayReady:
				address <- word[1]
			case len(word) == 3 && word[0] == sayEnded:
				if at, err := strconv.ParseInt(word[2], 10, 64); err == nil {
					ended(word[1], time.Unix(0, at))
				}
			}
		}
	}()
	select {
	case c.url = <-address:
	case <-c.read:
		return nil, fmt.Errorf("%s ended before it was ready: %w", service, c.cmd.Wait())
	case <-ctx.Done():
		c.stop()
		return nil, ctx.Err()
	}
	if err := ready(ctx, c.url+"/readyz"); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// memory is the most that the process had resident, in MB.
func (c *child) memory() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return round(kb/1024, 1)
		}
	}
	return 0
}

func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.read:
	case <-time.After(10 * time.Second):
		_ = c.cmd.Process.Kill()
	}
	_ = c.cmd.Wait() // how it ended is in its log
}
