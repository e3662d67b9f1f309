package ingest

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/program"
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
	env.HTTP.Handle("/webhooks/", Handler(Options{
		Publisher: bus, Counters: env.Telemetry.Counters, Log: env.Log, Secrets: cfg.WebhookSecrets.Bytes(),
		MaxBody: cfg.WebhookMaxBodyBytes, ReadTimeout: cfg.WebhookReadTimeout(), PublishTimeout: cfg.WebhookPublishTimeout(),
	}))
	env.HTTP.Ready("nats", bus.Ready)
	// Until NATS is there, requests are answered 503 and /readyz says why.
	if _, err := bus.Apply(ctx); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	<-ctx.Done()
	return nil
}
