package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/joblog"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/parts"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// Serve builds the service from its environment and runs it until ctx ends. Without a working sandbox it refuses
// to start and says why.
func Serve(ctx context.Context, env *program.Env) error {
	cfg := env.Config
	pipeline, err := newPipeline(ctx, env)
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	p, err := parts.Open(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	bus, err := streams.Open(ctx, cfg, "runner", env.Log, env.Telemetry.Traces)
	if err != nil {
		return err
	}
	defer bus.Close()
	p.Announce(env, bus.Ready)

	pipeline.Troubles = p.Store
	pipeline.OnStage = func(ctx context.Context, r store.Run, s evidence.Stage) {
		repo := r.Failure.Repository
		bus.Emit(ctx, streams.Event{
			Kind: "stage." + s.Name, Provider: r.Failure.Provider, Owner: repo.Owner, Name: repo.Name, RunID: r.ID,
			Attempt: int(r.AttemptCount), Stage: s.Name, Reason: s.Reason, Detail: s.Verdict, Seconds: s.Seconds,
		})
	}
	service := &Service{
		Store: p.Store, Lock: lease.NewLock(p.Redis, "sre-agent:lock:"), Slots: lease.NewSlots(p.Redis, "sre-agent:slots:"), Bell: bus,
		Pipeline: pipeline, Counters: env.Telemetry.Counters, Log: env.Log, Limits: parts.Limits(cfg), Holder: env.Holder, TTL: cfg.LeaseTTL(),
	}
	return bus.Consume(ctx, streams.Worker{
		Consumer: streams.RunnerConsumer, Workers: cfg.RunnerWorkers, Handle: service.Handle, Grace: cfg.ShutdownGrace(),
		Ready: func(ctx context.Context) error { return errors.Join(bus.Ready(ctx), p.Ready(ctx)) },
	})
}

func newPipeline(ctx context.Context, env *program.Env) (*FixPipeline, error) {
	cfg := env.Config
	box, err := sandbox.New(ctx, sandbox.Options{Bin: cfg.SandboxBin, Toolchains: toolchains(ctx, cfg), Log: env.Log})
	if err != nil {
		return nil, fmt.Errorf("there is no working sandbox, so no repository's code can be run: %w", err)
	}
	git, err := gitrepo.New("", env.Log)
	if err != nil {
		return nil, err
	}
	catalogue, err := fix.Load()
	if err != nil {
		return nil, err
	}
	scanner, err := scan.New(cfg.KnownSecrets()...)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(cfg.DataDir, "runner"))
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	p := &FixPipeline{
		Git: git, Logs: joblog.New(cfg.GitHubAPIURL, cfg.ReadToken.Reveal(), nil), Pulls: NewPullReader(cfg.GitHubAPIURL, cfg.ReadToken.Reveal()),
		Catalogue: catalogue, Scanner: scanner,
		Sandbox: box, Redact: env.Redact, Dir: dir, Remote: gitrepo.Below(cfg.GitHubGitURL, cfg.ReadToken.Reveal()), Limits: limits(cfg), GoProxy: cfg.SandboxGoProxy,
		Counters: env.Telemetry.Counters, Log: env.Log,
	}
	if p.Tools, err = tools(ctx, box, dir); err != nil {
		return nil, err
	}
	env.Log.InfoContext(ctx, "sandbox works", "tools", p.Tools)
	return p, nil
}

func toolchains(ctx context.Context, cfg *config.Config) []string {
	return append(sandbox.Find(ctx, "go", "gofmt", "node", "npm"), cfg.SandboxToolchains...)
}

func limits(cfg *config.Config) sandbox.Limits {
	l := sandbox.DefaultLimits()
	l.Silence = cfg.LeaseTTL() / 2 // a stopped runner's work is over before its lease is
	l.Time, l.CPU = cfg.SandboxTimeout(), cfg.SandboxTimeout()
	l.Memory, l.Processes, l.Disk = cfg.SandboxMemoryBytes, cfg.SandboxProcesses, cfg.SandboxDiskBytes
	return l
}

// probes ask each program of the catalogue for its version.
var probes = map[string]string{
	"go": "go env GOVERSION", "gofmt": "command -v gofmt", "find": "command -v find", "xargs": "command -v xargs",
	"node": "node --version", "npm": "npm --version",
	"python3": "python3 --version", "pip": "python3 -m pip --version", "black": "black --version", "isort": "isort --version-number",
	"ruff": "ruff --version", "poetry": "poetry --version", "uv": "uv --version", "dotnet": "dotnet --version",
}

// tools finds out, inside the sandbox, which programs it has.
func tools(ctx context.Context, box Sandbox, dir string) (map[string]string, error) {
	empty, err := os.MkdirTemp(dir, "probe-")
	if err != nil {
		return nil, fmt.Errorf("probe tools: %w", err)
	}
	defer func() { _ = os.RemoveAll(empty) }()
	found := map[string]string{}
	for program, script := range probes {
		res, err := box.Run(ctx, sandbox.Spec{Script: script, Dir: empty})
		if err != nil {
			return nil, fmt.Errorf("probe %s: %w", program, err)
		}
		if res.ExitCode == 0 {
			found[program] = strings.TrimSpace(res.Output)
		}
	}
	return found, nil
}
