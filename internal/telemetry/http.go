package telemetry

import (
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// httpBuckets are those that OpenTelemetry's conventions ask for.
var httpBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// Served measures and traces a route's requests by OpenTelemetry's conventions for HTTP servers. A trace begins here: what
// an unknown sender says about its own trace is not taken up.
func (t *Telemetry) Served(method, route string, next http.Handler) http.Handler {
	// A meter never refuses a name that is well formed.
	took, _ := t.Meters.Meter(scope).Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests."), metric.WithExplicitBucketBoundaries(httpBuckets...))
	s := &served{next: next, took: took, tracer: t.Tracer, name: method + " " + route}
	s.attrs = []attribute.KeyValue{attribute.String("http.request.method", method), attribute.String("http.route", route)}
	s.start = trace.WithAttributes(s.attrs...)
	return s
}

type served struct {
	next   http.Handler
	took   metric.Float64Histogram
	tracer trace.Tracer
	name   string
	attrs  []attribute.KeyValue
	start  trace.SpanStartEventOption

	// ready are the attributes of each status, made once.
	ready sync.Map
}

func (s *served) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	ctx, span := s.tracer.Start(r.Context(), s.name, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer), s.start)
	defer span.End()
	rec := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	s.next.ServeHTTP(rec, r.WithContext(ctx))
	s.took.Record(ctx, time.Since(began).Seconds(), s.of(rec.status))
	span.SetAttributes(attribute.Int("http.response.status_code", rec.status))
	if rec.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

func (s *served) of(status int) metric.RecordOption {
	if o, ok := s.ready.Load(status); ok {
		return o.(metric.RecordOption)
	}
	set := attribute.NewSet(append([]attribute.KeyValue{attribute.Int("http.response.status_code", status)}, s.attrs...)...)
	o, _ := s.ready.LoadOrStore(status, metric.WithAttributeSet(set))
	return o.(metric.RecordOption)
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
