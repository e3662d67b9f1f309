package ingest

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/streams"
)

// Serve builds the service from its environment and runs it until ctx ends.
func Serve(ctx context.Context, env *program.Env) error {
	cfg := env.Config
	bus, err := streams.ConnectWith(cfg, "ingest", env.Log, env.Telemetry.Traces)
	if err != nil {
		return err
	}
	defer bus.Close()
	if err := bus.Measure(env.Telemetry.Meters); err != nil {
		return err
	}
	keys, err := keyring(cfg)
	if err != nil {
		return err
	}
	proxies, err := config.ParseNetworks(cfg.TrustedProxies)
	if err != nil {
		return fmt.Errorf("WEBHOOK_TRUSTED_PROXIES: %w", err)
	}
	allowed, err := config.ParseNetworks(cfg.AllowedAddresses)
	if err != nil {
		return fmt.Errorf("WEBHOOK_ALLOWED_ADDRESSES: %w", err)
	}
	full := &Fullness{}
	env.HTTP.Handle("/webhooks/", Handler(Options{
		Publisher: bus, Counters: env.Telemetry.Counters, Log: env.Log, Providers: providers.Table(), Keys: keys,
		MaxBody: cfg.WebhookMaxBodyBytes, BytesInFlight: cfg.WebhookBytesInFlight, Proxies: proxies, Allowed: allowed, Full: full, Served: env.Telemetry.Served,
		ReadTimeout: cfg.WebhookReadTimeout(), PublishTimeout: cfg.WebhookPublishTimeout(),
	}))
	env.HTTP.Ready("nats", bus.Ready)
	env.HTTP.Ready("stream", full.Ready)
	// Until NATS is there, requests are answered 503 and /readyz says why.
	if _, err := bus.Apply(ctx); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	<-ctx.Done()
	return nil
}

// keyring gathers what the configuration says may have signed a webhook.
func keyring(cfg *config.Config) (*webhook.Keyring, error) {
	ring := webhook.NewKeyring()
	for _, k := range cfg.WebhookKeys() {
		ring.Add(k.Provider, webhook.Keys{Signing: k.Secrets.Bytes(), Tokens: k.Tokens.Bytes()})
	}
	for variable, list := range map[string]config.SecretList{"WEBHOOK_SCOPED_SECRETS": cfg.ScopedWebhookSecrets, "WEBHOOK_SCOPED_TOKENS": cfg.ScopedWebhookTokens} {
		for _, entry := range list {
			scope, secret, err := config.SplitScoped(entry.Reveal())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", variable, err)
			}
			ring.AddScoped(scope, secret, variable == "WEBHOOK_SCOPED_TOKENS")
		}
	}
	return ring, nil
}
