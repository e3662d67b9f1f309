package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope is the instrumentation scope of these metrics and spans; otherHost stands for every host but the API's own.
const (
	scope     = "github.com/sre-agent/sre-agent/internal/httpapi"
	otherHost = "other"
)

// secondsBuckets are those that OpenTelemetry's conventions ask for.
var secondsBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// observed measures and traces the calls of an API by OpenTelemetry's conventions for HTTP clients, and notes how much of
// its rate limit is left. host is the API's own; whatever else a redirect leads to is "other", so that no answer can make
// new series. Like any instrumented library it takes the process's providers.
func observed(next http.RoundTripper, host string) http.RoundTripper {
	if _, ok := next.(*called); ok {
		return next
	}
	c := &called{next: next, host: host, tracer: otel.Tracer(scope)}
	meter := otel.Meter(scope)
	// A meter never refuses a name that is well formed.
	c.took, _ = meter.Float64Histogram("http.client.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP client requests."), metric.WithExplicitBucketBoundaries(secondsBuckets...))
	c.remaining, _ = meter.Float64Gauge("sre_agent_forge_rate_limit_remaining",
		metric.WithDescription("Calls that a forge still allows until its limit is renewed, by its host."))
	c.limit, _ = meter.Float64Gauge("sre_agent_forge_rate_limit", metric.WithDescription("Calls that a forge allows in all, by its host."))
	return c
}

type called struct {
	next   http.RoundTripper
	host   string
	tracer trace.Tracer
	took   metric.Float64Histogram

	remaining, limit metric.Float64Gauge
}

func (c *called) RoundTrip(r *http.Request) (*http.Response, error) {
	host := otherHost
	if r.URL.Host == c.host {
		host = r.URL.Hostname()
	}
	attrs := []attribute.KeyValue{attribute.String("http.request.method", method(r.Method)), attribute.String("server.address", host)}
	began := time.Now()
	ctx, span := c.tracer.Start(r.Context(), method(r.Method), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	defer span.End()
	res, err := c.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		attrs = append(attrs, attribute.String("error.type", "transport"))
		span.SetStatus(codes.Error, "")
	} else {
		status := attribute.Int("http.response.status_code", res.StatusCode)
		attrs = append(attrs, status)
		span.SetAttributes(status)
		if res.StatusCode >= http.StatusBadRequest {
			span.SetStatus(codes.Error, "")
		}
		if host != otherHost {
			c.noteLimit(ctx, host, res.Header)
		}
	}
	c.took.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attrs...))
	return res, err
}

// method is one of those that the conventions know.
func method(m string) string {
	switch m {
	case "", http.MethodGet:
		return http.MethodGet
	case http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return m
	default:
		return "_OTHER"
	}
}

// noteLimit notes what an answer says of the limit.
func (c *called) noteLimit(ctx context.Context, host string, h http.Header) {
	for name, gauge := range map[string]metric.Float64Gauge{"Remaining": c.remaining, "Limit": c.limit} {
		if n, err := strconv.ParseUint(limitHeader(h, name), 10, 32); err == nil {
			gauge.Record(ctx, float64(n), metric.WithAttributes(attribute.String("host", host)))
		}
	}
}
