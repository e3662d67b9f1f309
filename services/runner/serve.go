package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/agentcmd"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/egress"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/fix"
	"github.com/sre-agent/sre-agent/internal/fixplan"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/joblog/green"
	"github.com/sre-agent/sre-agent/internal/joblog/sources"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/model"
	"github.com/sre-agent/sre-agent/internal/parts"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/sandbox"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// Serve builds the service from its environment and runs it until ctx ends. Without a working sandbox it refuses
// to start and says why.
func Serve(ctx context.Context, env *program.Env) error {
	cfg := env.Config
	pipeline, err := NewPipeline(ctx, env)
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	p, err := parts.Open(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	bus, err := streams.Open(ctx, cfg, streams.RunnerRole, env.Log, env.Telemetry.Traces)
	if err != nil {
		return err
	}
	defer bus.Close()
	if err := bus.Measure(env.Telemetry.Meters); err != nil {
		return err
	}
	p.Announce(env, bus.Ready)

	pipeline.Troubles, pipeline.Modes = p.Store, p.Store
	if model.Configured(cfg.Model) {
		pipeline.Model, err = model.New(model.Options{
			Config: cfg.Model, Ledger: p.Store, Parse: fixplan.Parse, Schema: fixplan.Schema(), Secrets: cfg.KnownSecrets(),
			Redact: env.Redact.String, Counters: env.Telemetry.Counters, Log: env.Log,
		})
		if err != nil {
			return err
		}
	}
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
	kept := caches{dir: filepath.Join(pipeline.Dir, "caches"), most: cfg.CachesMaxBytes, now: time.Now, log: env.Log}
	keeping, stop := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { kept.keep(keeping) })
	defer keeper.Wait()
	defer stop()
	return bus.Consume(ctx, streams.Worker{
		Consumer: streams.RunnerConsumer, Workers: cfg.RunnerWorkers, Handle: service.Handle, Grace: cfg.ShutdownGrace(),
		Ready: func(ctx context.Context) error { return errors.Join(bus.Ready(ctx), p.Ready(ctx)) },
	})
}

// NewPipeline makes the fix pipeline as the configuration says, without what the database knows.
func NewPipeline(ctx context.Context, env *program.Env) (*FixPipeline, error) {
	cfg := env.Config
	proxy, err := egress.New(egress.Config{Allow: cfg.SandboxEgressAllow, Private: cfg.SandboxEgressPrivate, Log: env.Log})
	if err != nil {
		return nil, err
	}
	box, err := sandbox.New(ctx, sandbox.Options{
		Backend: cfg.SandboxBackend, Image: cfg.SandboxImage, Bin: cfg.SandboxBin,
		Toolchains: cfg.SandboxToolchains, HostToolchains: hostToolchains(ctx), Egress: proxy, Log: env.Log,
	})
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
	programs, err := scan.NewPrograms(cfg.Scanners, cfg.ScannerTimeout())
	if err != nil {
		return nil, fmt.Errorf("SCANNERS: %w", err)
	}
	rules, err := repoconfig.Rules(cfg.PolicyFile)
	if err != nil {
		return nil, fmt.Errorf("POLICY_FILE: %w", err)
	}
	dir, err := filepath.Abs(filepath.Join(cfg.DataDir, "runner"))
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	greens, err := green.Open(filepath.Join(dir, "green"), green.MaxTotal)
	if err != nil {
		return nil, err
	}
	networks, err := config.ParseNetworks(cfg.APIAllowedNetworks)
	if err != nil {
		return nil, fmt.Errorf("API_ALLOWED_NETWORKS: %w", err)
	}
	p := &FixPipeline{
		Git: git, Logs: sources.New(cfg, httpapi.Guarded(networks)), Greens: greens, Pulls: NewPullReader(cfg.GitHubAPIURL, cfg.ReadToken.Reveal()),
		Catalogue: catalogue, Scanner: scanner, Rules: rules, Programs: programs,
		Sandbox: box, Redact: env.Redact, Dir: dir, Remote: remotes(cfg), Limits: limits(cfg), PromptBytes: cfg.ModelMaxInputBytes, Secrets: cfg.KnownSecrets(), GoProxy: cfg.SandboxGoProxy, Rerun: cfg.RerunFailed,
		Counters: env.Telemetry.Counters, Log: env.Log,
	}
	if p.Tools, err = tools(ctx, box, dir); err != nil {
		return nil, err
	}
	if cfg.AgentCommand != "" {
		if p.Agent, err = agent(env, box, p.Limits); err != nil {
			return nil, err
		}
	}
	env.Log.InfoContext(ctx, "sandbox works", "backend", box.Backend(), "tools", p.Tools)
	return p, nil
}

// agent is the configured coding agent. Its proxy reaches its hosts alone, and adds the credential there.
func agent(env *program.Env, box Sandbox, limits sandbox.Limits) (*agentcmd.Command, error) {
	cfg := env.Config
	out := egress.Config{Allow: cfg.AgentAllowedHosts, Credentials: map[string]egress.Header{}, Log: env.Log}
	if cfg.AgentCredential.IsSet() {
		name, value := cfg.CredentialHeader()
		for _, host := range cfg.AgentAllowedHosts {
			out.Credentials[host] = egress.Header{Name: name, Value: value.Reveal()}
		}
	}
	proxy, err := egress.New(out)
	if err != nil {
		return nil, fmt.Errorf("AGENT_ALLOWED_HOSTS: %w", err)
	}
	o := agentcmd.Options{Command: cfg.AgentCommand, Timeout: cfg.AgentTimeout(), Limits: limits, Sandbox: box, Redact: env.Redact.String}
	if len(cfg.AgentAllowedHosts) > 0 {
		o.Network = func(spec *sandbox.Spec) { spec.Network, spec.Egress = true, proxy }
	}
	return agentcmd.New(o), nil
}

// hostToolchains are the machine's; a container's image brings its own.
func hostToolchains(ctx context.Context) []string {
	return sandbox.Find(ctx, "go", "gofmt", "node", "npm", "rustc", "terraform", "pre-commit")
}

func limits(cfg *config.Config) sandbox.Limits {
	l := sandbox.DefaultLimits()
	l.Silence = cfg.LeaseTTL() / 2 // a stopped runner's work is over before its lease is
	l.Time, l.CPU = cfg.SandboxTimeout(), cfg.SandboxTimeout()
	l.Memory, l.Processes, l.Disk = cfg.SandboxMemoryBytes, cfg.SandboxProcesses, cfg.SandboxDiskBytes
	return l
}

// tools finds out, inside the sandbox, which programs it has.
func tools(ctx context.Context, box Sandbox, dir string) (map[string]string, error) {
	empty, err := os.MkdirTemp(dir, "probe-")
	if err != nil {
		return nil, fmt.Errorf("probe tools: %w", err)
	}
	defer func() { _ = os.RemoveAll(empty) }()
	found := map[string]string{}
	for program, script := range fix.Probes() {
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
