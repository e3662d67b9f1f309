package parts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// timed measures Redis's commands by OpenTelemetry's conventions for databases, as otelpgx does PostgreSQL's.
type timed struct{ took metric.Float64Histogram }

func newTimed(meters metric.MeterProvider) (timed, error) {
	took, err := meters.Meter("github.com/sre-agent/sre-agent/internal/parts").Float64Histogram("db.client.operation.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of database client operations."),
		metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	if err != nil {
		return timed{}, fmt.Errorf("measure redis: %w", err)
	}
	return timed{took}, nil
}

// DialHook, ProcessHook and ProcessPipelineHook are redis.Hook.
func (h timed) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		began := time.Now()
		conn, err := next(ctx, network, addr)
		h.tell(ctx, "connect", began, err)
		return conn, err
	}
}

// ProcessHook measures a command.
func (h timed) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		h.tell(ctx, cmd.Name(), began, err)
		return err
	}
}

// ProcessPipelineHook measures several commands at once.
func (h timed) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		h.tell(ctx, "pipeline", began, err)
		return err
	}
}

// tell records an operation. Names are those of our own commands, a handful.
func (h timed) tell(ctx context.Context, operation string, began time.Time, err error) {
	attrs := []attribute.KeyValue{attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", operation)}
	if err != nil && !errors.Is(err, redis.Nil) {
		attrs = append(attrs, attribute.String("error.type", "failed"))
	}
	h.took.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attrs...))
}
