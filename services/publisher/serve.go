package publisher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/gitpush"
	"github.com/sre-agent/sre-agent/internal/keyfile"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/parts"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/program"
	signed "github.com/sre-agent/sre-agent/internal/receipt"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// Serve builds the service from its environment and runs it until ctx ends.
func Serve(ctx context.Context, env *program.Env) error {
	cfg := env.Config
	forges, err := Writers(cfg)
	if err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	mirrors, err := newMirrors(env, forges)
	if err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	AddPlainGit(forges, cfg, mirrors)
	scanner, err := scan.New(cfg.KnownSecrets()...)
	if err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	rules, err := repoconfig.Rules(cfg.PolicyFile)
	if err != nil {
		return fmt.Errorf("publisher: POLICY_FILE: %w", err)
	}
	receipts, err := newReceipts(cfg, rules)
	if err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	news, err := NewNews(cfg, env.Log, env.Redact.String)
	if err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	p, err := parts.OpenStore(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	writes, closeWrites, err := newWrites(env)
	if err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	defer closeWrites()
	bus, err := streams.Open(ctx, cfg, streams.PublisherRole, env.Log, env.Telemetry.Traces)
	if err != nil {
		return err
	}
	defer bus.Close()
	if err := bus.Measure(env.Telemetry.Meters); err != nil {
		return err
	}
	p.Announce(env, bus.Ready)
	targets := Targets(origin.Forges(cfg), forges)
	service := &Service{
		Store: p.Store, Target: ViaFork(forkOwner(cfg), targets), Git: mirrors, Settings: mirrors, Review: Rules{Scanner: scanner, Policy: rules},
		Events: bus, Counters: env.Telemetry.Counters, Log: env.Log, Holder: env.Holder, TTL: leaseOf(cfg), Redact: env.Redact.String, Draft: cfg.PullRequestDraft,
		Caps: store.Caps{Open: cfg.OpenPullRequests, PerHour: cfg.PullRequestsPerHour}, Writes: writes, Incidents: cfg.IncidentWindow(),
	}
	if receipts != nil {
		receipts.Store = p.Store
		service.Receipts = receipts
	}
	watcher := &Watcher{
		Store: p.Store, Target: targets, History: mirrors, Settings: mirrors, Events: bus, Writes: writes, Counters: env.Telemetry.Counters,
		Log: env.Log, Redact: env.Redact.String, Holder: env.Holder, TTL: leaseOf(cfg),
		Every: Intervals{Least: cfg.WatchMin(), Most: cfg.WatchMax(), Stale: cfg.WatchStale(), Base: cfg.WatchBase()},
	}
	defer beside(ctx, watcher.Loop)()
	if cfg.RerunFailed {
		providers, err := rerunners(cfg)
		if err != nil {
			return fmt.Errorf("publisher: %w", err)
		}
		reruns := &Reruns{
			Store: p.Store, Providers: providers,
			Events: bus, Log: env.Log, Redact: env.Redact.String,
		}
		defer beside(ctx, reruns.Loop)()
	}
	if news != nil {
		defer beside(ctx, func(ctx context.Context) { news.Loop(ctx, bus) })()
	}
	return bus.Consume(ctx, streams.Worker{
		Consumer: streams.PublisherConsumer, Workers: cfg.PublisherWorkers, Handle: service.Handle, Grace: cfg.ShutdownGrace(),
		Ready: func(ctx context.Context) error { return errors.Join(bus.Ready(ctx), p.Ready(ctx)) },
	})
}

// beside runs a loop until it is ended, which waits for it.
func beside(ctx context.Context, loop func(context.Context)) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { loop(ctx) })
	return func() { stop(); running.Wait() }
}

// newWrites bounds what is written to forges. Redis may be away, or not there at all: publishing does not wait for it.
func newWrites(env *program.Env) (w *ForgeWrites, closing func(), err error) {
	cfg := env.Config
	w = &ForgeWrites{Own: &lease.LocalQuota{Now: time.Now}, PerMinute: cfg.ForgeWritesPerMinute, PerHour: cfg.ForgeWritesPerHour, Log: env.Log}
	if !cfg.RedisURL.IsSet() {
		return w, func() {}, nil
	}
	rdb, err := parts.OpenRedis(env)
	if err != nil {
		return nil, nil, err
	}
	w.Shared = lease.NewQuota(rdb, "sre-agent:")
	return w, func() { _ = rdb.Close() }, nil
}

// leaseOf is shorter than a runner's lease: the publication of a killed publisher has to go on within 30 s by the
// defaults, and the sweeper needs some of them.
func leaseOf(cfg *config.Config) time.Duration { return max(cfg.LeaseTTL()*2/3, 3*time.Second) }

func newMirrors(env *program.Env, forges map[string]Writer) (*Mirrors, error) {
	cfg := env.Config
	push, err := gitpush.New("", env.Log)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(cfg.DataDir, "publisher"))
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	m := &Mirrors{
		Push: push, Dir: dir, Remote: Remotes(forges), Name: cfg.AgentName, Email: cfg.AgentEmail, CommitterName: cfg.CommitterName,
		CommitterEmail: cfg.CommitterEmail, SignOff: cfg.CommitSignOff, ForkOwner: forkOwner(cfg),
	}
	if cfg.SigningKeyFile != "" {
		if m.Signer, err = gitpush.LoadSigner(cfg.SigningKeyFile); err != nil {
			return nil, fmt.Errorf("COMMIT_SIGNING_KEY_FILE: %w", err)
		}
		env.Log.Info("commits are signed", "kind", m.Signer.Kind, "key", m.Signer.Name)
	}
	return m, nil
}

// newReceipts returns nil when no key is configured.
func newReceipts(cfg *config.Config, rules policy.Rules) (*Receipts, error) {
	if cfg.ReceiptKeyFile == "" {
		return nil, nil //nolint:nilnil // no receipts is a choice
	}
	text, err := keyfile.Read(cfg.ReceiptKeyFile)
	if err != nil {
		return nil, fmt.Errorf("RECEIPT_KEY_FILE: %w", err)
	}
	key, err := minisign.ParseSecretKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("RECEIPT_KEY_FILE: %s: %w", cfg.ReceiptKeyFile, err)
	}
	digest, err := signed.DigestOf(rules)
	return &Receipts{Key: key, Rules: digest}, err
}

// forkOwner owns the forks that are pushed to, or is empty when the repositories themselves are.
func forkOwner(cfg *config.Config) string {
	if cfg.PublishVia == config.ViaFork {
		return cfg.PublishForkOwner
	}
	return ""
}
