package telemetry

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

func newLogger(opts Options) (*slog.Logger, error) {
	var level slog.Level
	switch opts.LogLevel {
	case "debug", "info", "warn", "error", "":
		if err := level.UnmarshalText([]byte(orElse(opts.LogLevel, "info"))); err != nil {
			return nil, fmt.Errorf("telemetry: log level: %w", err)
		}
	default:
		return nil, fmt.Errorf("telemetry: log level %.20q: want debug, info, warn or error", opts.LogLevel)
	}
	var handler slog.Handler
	switch orElse(opts.LogFormat, "json") {
	case "json":
		handler = slog.NewJSONHandler(opts.Writer, &slog.HandlerOptions{Level: level})
	case "text":
		handler = slog.NewTextHandler(opts.Writer, &slog.HandlerOptions{Level: level})
	default:
		return nil, fmt.Errorf("telemetry: log format %.20q: want json or text", opts.LogFormat)
	}
	handler = traced{handler}
	// The redactor is outermost: it sees every message and attribute before anything else does.
	if opts.Redact != nil {
		handler = opts.Redact(handler)
	}
	log := slog.New(handler)
	if opts.Service != "" {
		log = log.With("service", opts.Service)
	}
	return log, nil
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// traced adds the ids of the context's span to each record.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }
