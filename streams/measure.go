package streams

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/sre-agent/sre-agent/internal/about"
)

const instrumentation = "github.com/sre-agent/sre-agent/streams"

// measures are what is measured of messages, by OpenTelemetry's conventions for messaging.
type measures struct {
	published, processed metric.Float64Histogram
	// publishing are the attributes of each stream and ending, made once: publishing is on the way of every webhook.
	publishing map[string]metric.RecordOption
}

var messageBuckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600}

// Measure has the bus measure what it publishes and processes. Call it before anything else.
func (b *Bus) Measure(meters metric.MeterProvider) error {
	meter := meters.Meter(instrumentation)
	m := measures{publishing: map[string]metric.RecordOption{}}
	var err error
	if m.published, err = meter.Float64Histogram("messaging.client.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of messaging operations of a client."), metric.WithExplicitBucketBoundaries(messageBuckets...)); err != nil {
		return fmt.Errorf("measure messages: %w", err)
	}
	if m.processed, err = meter.Float64Histogram("messaging.process.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of processing a message."), metric.WithExplicitBucketBoundaries(messageBuckets...)); err != nil {
		return fmt.Errorf("measure messages: %w", err)
	}
	for _, r := range b.rows {
		for _, ending := range []string{"", "full", "unavailable"} {
			m.publishing[r.Stream.Name+ending] = metric.WithAttributeSet(attribute.NewSet(endAttr(messaging("publish", r.Stream.Name), ending)...))
		}
	}
	b.measures = m
	return nil
}

// unmeasured is what a bus has that nobody asked to measure.
func unmeasured() measures {
	h, _ := noop.NewMeterProvider().Meter("").Float64Histogram("none")
	return measures{published: h, processed: h}
}

func messaging(operation, stream string) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.name", operation),
		attribute.String("messaging.destination.name", stream),
	}
}

// endAttr says how an operation that did not go well ended.
func endAttr(attrs []attribute.KeyValue, ending string) []attribute.KeyValue {
	if ending == "" {
		return attrs
	}
	return append(attrs, attribute.String("error.type", ending))
}

// tellPublished records a publish to the stream of a subject.
func (b *Bus) tellPublished(ctx context.Context, subject, ending string, began time.Time) {
	if o, ok := b.measures.publishing[streamOf(subject)+ending]; ok {
		b.measures.published.Record(ctx, time.Since(began).Seconds(), o)
	}
}

// streamOf is the stream that a subject of ours goes to.
func streamOf(subject string) string {
	first, _, _ := strings.Cut(subject, ".")
	return strings.ToUpper(first)
}

// aboutMessage makes a context say what a message is about.
func aboutMessage(ctx context.Context, m *Message) context.Context {
	w := about.Work{DeliveryID: m.Header.Get(HdrDeliveryID), RunID: m.RunID}
	if _, owner, name := repositoryOf(m.Subject); owner != "" && name != "" {
		w.Repository = owner + "/" + name
	}
	return about.With(ctx, w)
}

// spanOf are the attributes of a span that processes a message.
func (c *consuming) spanOf(m *Message) trace.SpanStartOption {
	attrs := messaging("process", c.stream)
	if m.RunID != 0 {
		attrs = append(attrs, attribute.Int64("sre_agent.run_id", m.RunID))
	}
	return trace.WithAttributes(append(attrs,
		attribute.String("messaging.operation.type", "process"), attribute.String("messaging.consumer.group.name", c.Consumer),
		attribute.String("messaging.message.id", m.ID), attribute.Int64("messaging.nats.deliveries", int64(m.Deliveries)))...)
}

// tellProcessed records that a message was processed, and how that ended.
func (c *consuming) tellProcessed(ctx context.Context, o Outcome, began time.Time) {
	ending := ""
	switch o.kind {
	case leave:
		ending = "leave"
	case dead:
		ending = "dead"
	case done:
	}
	attrs := append(messaging("process", c.stream), attribute.String("messaging.consumer.group.name", c.Consumer))
	c.bus.measures.processed.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(endAttr(attrs, ending)...))
}
