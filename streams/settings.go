package streams

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/sre-agent/sre-agent/internal/config"
)

// SettingsFrom derives the table's settings from the configuration.
func SettingsFrom(c *config.Config) Settings {
	return Settings{
		MaxAttempts: c.MaxAttempts, BaseBackoff: c.BaseBackoff(), MaxBackoff: c.MaxBackoff(),
		DeliveriesMaxBytes: c.DeliveriesMaxBytes, DeliveriesMaxAge: c.DeliveriesMaxAge(), Replicas: c.NATSReplicas,
	}
}

// Open connects as ConnectWith does, waits for the server, and makes its streams what the table says.
func Open(ctx context.Context, c *config.Config, name string, log *slog.Logger, tracer trace.TracerProvider) (*Bus, error) {
	b, err := ConnectWith(c, name, log, tracer)
	if err != nil {
		return nil, err
	}
	if _, err := b.Apply(ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// ConnectWith connects with the configuration's settings; name says who is connected.
func ConnectWith(c *config.Config, name string, log *slog.Logger, tracer trace.TracerProvider) (*Bus, error) {
	return Connect(Options{
		Name: "sre-agent " + name, URL: c.NATSURL, CredsFile: c.NATSCredsFile, Settings: SettingsFrom(c), Log: log, Tracer: tracer,
	})
}
