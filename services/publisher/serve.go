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
	"github.com/sre-agent/sre-agent/internal/minisign"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/parts"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/program"
	signed "github.com/sre-agent/sre-agent/internal/receipt"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/scan"
	"github.com/sre-agent/sre-agent/streams"
)

// Serve builds the service from its environment and runs it until ctx ends.
func Serve(ctx context.Context, env *program.Env) error {
	cfg := env.Config
	forges := writers(cfg)
	mirrors, err := newMirrors(env, forges)
	if err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
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
	p, err := parts.OpenStore(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	bus, err := streams.Open(ctx, cfg, "publisher", env.Log, env.Telemetry.Traces)
	if err != nil {
		return err
	}
	defer bus.Close()
	p.Announce(env, bus.Ready)
	service := &Service{
		Store: p.Store, Target: ViaFork(forkOwner(cfg), Targets(origin.Forges(cfg), forges)), Git: mirrors, Review: Rules{Scanner: scanner, Policy: rules},
		Events: bus, Counters: env.Telemetry.Counters, Log: env.Log, Holder: env.Holder, TTL: leaseOf(cfg), Redact: env.Redact.String, Draft: cfg.PullRequestDraft, Modes: p.Store,
	}
	if receipts != nil {
		receipts.Store = p.Store
		service.Receipts = receipts
	}
	if cfg.RerunFailed {
		reruns := &Reruns{
			Store: p.Store, Providers: rerunners(cfg),
			Events: bus, Log: env.Log, Redact: env.Redact.String,
		}
		looping, stop := context.WithCancel(ctx)
		var loop sync.WaitGroup
		loop.Go(func() { reruns.Loop(looping) })
		defer loop.Wait()
		defer stop()
	}
	return bus.Consume(ctx, streams.Worker{
		Consumer: streams.PublisherConsumer, Workers: cfg.PublisherWorkers, Handle: service.Handle, Grace: cfg.ShutdownGrace(),
		Ready: func(ctx context.Context) error { return errors.Join(bus.Ready(ctx), p.Ready(ctx)) },
	})
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
		Push: push, Dir: dir, Remote: remotes(forges), Name: cfg.AgentName, Email: cfg.AgentEmail, CommitterName: cfg.CommitterName,
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
	text, err := gitpush.ReadPrivate(cfg.ReceiptKeyFile)
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
