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

// Open connects as one of the services and waits until the streams are there: the throttle makes them what the table
// says, and the others wait for theirs.
func Open(ctx context.Context, c *config.Config, role Role, log *slog.Logger, tracer trace.TracerProvider) (*Bus, error) {
	b, err := ConnectWith(c, role, log, tracer)
	if err != nil {
		return nil, err
	}
	settle := b.Await
	if role == ThrottleRole {
		settle = func(ctx context.Context) error { _, err := b.Apply(ctx); return err }
	}
	if err := settle(ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	return b, nil
}

// ConnectWith connects with the configuration's settings.
func ConnectWith(c *config.Config, role Role, log *slog.Logger, tracer trace.TracerProvider) (*Bus, error) {
	return Connect(Options{
		Name: "sre-agent " + string(role), Role: role, URL: c.NATSURL, Settings: SettingsFrom(c), Log: log, Tracer: tracer,
		Login: Login{
			User: c.NATSUser, Password: c.NATSPassword.Reveal(), CredsFile: c.NATSCredsFile,
			CAFile: c.NATSCAFile, CertFile: c.NATSCertFile, KeyFile: c.NATSKeyFile,
		},
	})
}
