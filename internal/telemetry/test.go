package telemetry

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Test is a Telemetry for tests: everything stays in memory, nothing global is touched.
type Test struct {
	*Telemetry
	reader *sdkmetric.ManualReader
	logs   *buffer
}

// NewTest returns a Telemetry whose counters and log lines a test can read.
func NewTest() *Test {
	t := &Test{reader: sdkmetric.NewManualReader(), logs: &buffer{}}
	t.Telemetry = &Telemetry{Propagator: propagator(), registry: prometheus.NewRegistry()}
	var err error
	if t.Log, err = newLogger(Options{LogLevel: "debug", Writer: t.logs}); err != nil {
		panic(err)
	}
	traces := sdktrace.NewTracerProvider()
	t.Traces, t.Tracer = traces, traces.Tracer(scope)
	pull, err := prometheusReader(t.registry)
	if err != nil {
		panic(err)
	}
	if err := t.useMeters(sdkmetric.NewMeterProvider(sdkmetric.WithReader(t.reader), sdkmetric.WithReader(pull))); err != nil {
		panic(err)
	}
	return t
}

// Count returns a counter's value for one reason, or the sum over all of them for "".
func (t *Test) Count(name, reason string) int64 {
	var data metricdata.ResourceMetrics
	if err := t.reader.Collect(context.Background(), &data); err != nil {
		panic(err)
	}
	var sum int64
	for _, s := range data.ScopeMetrics {
		for _, m := range s.Metrics {
			points, ok := m.Data.(metricdata.Sum[int64])
			if m.Name != name || !ok {
				continue
			}
			for _, p := range points.DataPoints {
				if reason == "" || hasValue(p.Attributes, reason) {
					sum += p.Value
				}
			}
		}
	}
	return sum
}

// Gauge returns a gauge's value for one label, or 0 when it has none.
func (t *Test) Gauge(name, label string) float64 {
	var data metricdata.ResourceMetrics
	if err := t.reader.Collect(context.Background(), &data); err != nil {
		panic(err)
	}
	for _, s := range data.ScopeMetrics {
		for _, m := range s.Metrics {
			points, ok := m.Data.(metricdata.Gauge[float64])
			if m.Name != name || !ok {
				continue
			}
			for _, p := range points.DataPoints {
				if label == "" || hasValue(p.Attributes, label) {
					return p.Value
				}
			}
		}
	}
	return 0
}

func hasValue(set attribute.Set, value string) bool {
	for _, kv := range set.ToSlice() {
		if kv.Value.AsString() == value {
			return true
		}
	}
	return false
}

// Logs returns every log line so far.
func (t *Test) Logs() string { return t.logs.String() }

// buffer is a bytes.Buffer that several goroutines may use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*buffer)(nil)

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
