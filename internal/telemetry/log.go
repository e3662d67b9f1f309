package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/sre-agent/sre-agent/internal/about"
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
	// The redactor sees every message and attribute before anything is written, those of the context as well: ids come
	// from outside.
	if opts.Redact != nil {
		handler = opts.Redact(handler)
	}
	handler = told{Handler: handler}
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

// told adds to each record what its context is about, unless the record says it itself.
type told struct {
	slog.Handler
	// said are the names of the attributes that every record of this handler has; grouped says that they, and the
	// record's own, are in a group.
	said    []string
	grouped bool
}

func (h told) Handle(ctx context.Context, r slog.Record) error {
	attrs := about.From(ctx).Attrs()
	if len(attrs) == 0 {
		return h.Handler.Handle(ctx, r)
	}
	said := slices.Clip(h.said)
	r.Attrs(func(a slog.Attr) bool {
		said = append(said, a.Key)
		return true
	})
	attrs = slices.DeleteFunc(attrs, func(a slog.Attr) bool { return slices.Contains(said, a.Key) })
	r = r.Clone()
	r.AddAttrs(attrs...)
	return h.Handler.Handle(ctx, r)
}

func (h told) WithAttrs(attrs []slog.Attr) slog.Handler {
	said := slices.Clip(h.said)
	if !h.grouped {
		for _, a := range attrs {
			said = append(said, a.Key)
		}
	}
	return told{h.Handler.WithAttrs(attrs), said, h.grouped}
}

func (h told) WithGroup(name string) slog.Handler {
	return told{h.Handler.WithGroup(name), h.said, true}
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
