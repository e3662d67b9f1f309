// Package telemetry sets up logs, traces and metrics for one process.
//
// It promises that every log line passes the redactor first, that metric names are exactly those of Metrics, that
// no label has values without bound, and that nothing leaves the process unless an OTLP endpoint is named.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope is the instrumentation scope of our own metrics and spans.
const scope = "github.com/sre-agent/sre-agent"

// Options say what to set up. The OTLP exporters take the standard OTEL_* variables from the process's environment.
type Options struct {
	Service, Version string
	// LogFormat is "json" or "text"; LogLevel is "debug", "info", "warn" or "error".
	LogFormat, LogLevel string
	// Writer takes the log lines.
	Writer io.Writer
	// Redact wraps the log handler so that no secret passes; nil only where there are no secrets.
	Redact func(slog.Handler) slog.Handler
	// Repositories is how many repositories have a label of their own in metrics; 0 is none.
	Repositories int
}

// Telemetry is what a process reports with.
type Telemetry struct {
	Log      *slog.Logger
	Counters *Counters
	// Board is where gauges are shown.
	Board *Board
	// Tracer makes our own spans; Traces, Meters and Propagator are for instrumented libraries and message headers.
	Tracer     trace.Tracer
	Traces     trace.TracerProvider
	Meters     *sdkmetric.MeterProvider
	Propagator propagation.TextMapPropagator

	repositories int
	registry     *prometheus.Registry
	shutdown     []func(context.Context) error
}

// Start sets everything up. Nothing is sent until an OTLP endpoint is named, and a collector that is down never
// stops the process.
func Start(ctx context.Context, opts Options) (*Telemetry, error) {
	t := &Telemetry{Propagator: propagator(), registry: prometheus.NewRegistry(), repositories: opts.Repositories}
	log, err := newLogger(opts)
	if err != nil {
		return nil, err
	}
	t.Log = log
	res, err := newResource(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := t.startTraces(ctx, res); err != nil {
		return nil, err
	}
	if err := t.startMetrics(ctx, res); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	// For libraries that take the globals; our own code uses the fields.
	otel.SetTracerProvider(t.Traces)
	otel.SetMeterProvider(t.Meters)
	otel.SetTextMapPropagator(t.Propagator)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.Log.Warn("telemetry could not be delivered", "error", err) }))
	return t, nil
}

// Handler serves /metrics in Prometheus' format.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, EnableOpenMetrics: true, // which has exemplars
	})
}

// shutdownTimeout bounds Shutdown when the context has no deadline of its own.
const shutdownTimeout = 5 * time.Second

// Shutdown sends what is still to be sent, until the context's deadline, and in any case for 5 seconds at most.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	// At the same time, so that a signal whose collector hangs does not cost the other one its chance.
	errs := make([]error, len(t.shutdown))
	var wg sync.WaitGroup
	for i, stop := range t.shutdown {
		wg.Go(func() { errs[i] = stop(ctx) })
	}
	wg.Wait()
	t.shutdown = nil
	return errors.Join(errs...)
}

// propagator carries the W3C trace context and baggage.
func propagator() propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
}

func newResource(ctx context.Context, opts Options) (*resource.Resource, error) {
	// The environment comes last: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", opts.Service), attribute.String("service.version", opts.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: resource: %w", err)
	}
	return res, nil
}

func (t *Telemetry) startTraces(ctx context.Context, res *resource.Resource) error {
	if disabled() {
		t.Traces = noop.NewTracerProvider()
		t.Tracer = t.Traces.Tracer(scope)
		return nil
	}
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	protocol, err := protocolOf(traces)
	if err != nil {
		return err
	}
	if exports(traces) {
		exporter, err := traceExporter(ctx, protocol)
		if err != nil {
			return err
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	}
	// Without an exporter spans still have ids, which logs and messages carry.
	provider := sdktrace.NewTracerProvider(options...)
	t.Traces, t.Tracer = provider, provider.Tracer(scope)
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

func (t *Telemetry) startMetrics(ctx context.Context, res *resource.Resource) error {
	if disabled() {
		return t.useMeters(sdkmetric.NewMeterProvider())
	}
	reader, err := prometheusReader(t.registry)
	if err != nil {
		return err
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(reader)}
	protocol, err := protocolOf(metrics)
	if err != nil {
		return err
	}
	if exports(metrics) {
		exporter, err := metricExporter(ctx, protocol)
		if err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)))
	}
	return t.useMeters(sdkmetric.NewMeterProvider(options...))
}

func (t *Telemetry) useMeters(provider *sdkmetric.MeterProvider) (err error) {
	t.Meters = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	if t.Counters, err = newCounters(provider.Meter(scope), t.repositories); err != nil {
		return err
	}
	t.Board, err = newBoard(provider.Meter(scope))
	return err
}

// prometheusReader gives names of the conventions the form that they have in Prometheus: http.server.request.duration is
// http_server_request_duration_seconds. Ours have it already.
func prometheusReader(registry *prometheus.Registry) (sdkmetric.Reader, error) {
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := otelprometheus.New(
		otelprometheus.WithRegisterer(registry),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: prometheus exporter: %w", err)
	}
	return reader, nil
}
