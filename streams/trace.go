package streams

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// TraceParent returns the W3C traceparent of the span in ctx, or "".
func TraceParent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c["traceparent"]
}

// LinkTo has the span in ctx point to an earlier one, by what TraceParent returned there: this is another try of the same work.
func LinkTo(ctx context.Context, parent string) {
	if earlier := trace.SpanContextFromContext(WithTraceParent(context.Background(), parent)); earlier.IsValid() {
		trace.SpanFromContext(ctx).AddLink(trace.Link{SpanContext: earlier})
	}
}

// WithTraceParent returns a context whose parent span is the one that TraceParent returned.
func WithTraceParent(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}
