package telemetry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The gauges.
const (
	Runs                = "sre_agent_runs"
	RunsWaiting         = "sre_agent_runs_waiting"
	OldestDueSeconds    = "sre_agent_oldest_due_run_seconds"
	OldestClaimSeconds  = "sre_agent_oldest_claim_seconds"
	LeasesOverdue       = "sre_agent_leases_overdue"
	StreamPending       = "sre_agent_stream_pending_messages"
	StreamMessages      = "sre_agent_stream_messages"
	StreamBytes         = "sre_agent_stream_bytes"
	StreamMaxBytes      = "sre_agent_stream_max_bytes"
	ConsumerPending     = "sre_agent_consumer_pending_messages"
	ConsumerAckPending  = "sre_agent_consumer_ack_pending_messages"
	ConsumerRedelivered = "sre_agent_consumer_redelivered_messages"
	DeadLetters         = "sre_agent_dead_letters"
	RateRemaining       = "sre_agent_forge_rate_limit_remaining"
	RateLimit           = "sre_agent_forge_rate_limit"
	AuditFindings       = "sre_agent_audit_findings"
	AuditAge            = "sre_agent_audit_age_seconds"
	DependencyUp        = "sre_agent_dependency_up"
)

func gauges() []Metric {
	return []Metric{
		{Runs, gauge, "", "Runs that have not ended, by state.", []Label{{Name: "state"}}},
		{RunsWaiting, gauge, "", "Runs that wait, by what for.", []Label{{Name: "reason"}}},
		{OldestDueSeconds, gauge, "s", "Age of the run that has been due for longest.", nil},
		{OldestClaimSeconds, gauge, "s", "How long the oldest claim has been held, by the run's state.", []Label{{Name: "state"}}},
		{LeasesOverdue, gauge, "", "Claims whose lease has run out and that nobody has taken back yet.", nil},
		{StreamPending, gauge, "", "Messages that a stream's consumer has not finished.", []Label{{Name: "stream"}}},
		{StreamMessages, gauge, "", "Messages in a stream.", []Label{{Name: "stream"}}},
		{StreamBytes, gauge, "By", "Size of a stream.", []Label{{Name: "stream"}}},
		{StreamMaxBytes, gauge, "By", "Size at which a stream is full.", []Label{{Name: "stream"}}},
		{ConsumerPending, gauge, "", "Messages that a consumer has not been given yet.", []Label{{Name: "consumer"}}},
		{ConsumerAckPending, gauge, "", "Messages that a consumer has in hand.", []Label{{Name: "consumer"}}},
		{ConsumerRedelivered, gauge, "", "Messages in hand that were given more than once.", []Label{{Name: "consumer"}}},
		{DeadLetters, gauge, "", "Dead letters that nobody has replayed or dropped.", nil},
		{RateRemaining, gauge, "", "Calls that a forge still allows until its limit is renewed, by its host.", []Label{{Name: "host"}}},
		{RateLimit, gauge, "", "Calls that a forge allows in all, by its host.", []Label{{Name: "host"}}},
		{AuditFindings, gauge, "", "Broken promises that stand, as the audit last saw them. Each must be 0.", []Label{{Name: "promise"}}},
		{AuditAge, gauge, "s", "Time since the last whole round of the audit.", nil},
		{DependencyUp, gauge, "", "Whether what a program stands on answered when it was last asked: 1 or 0.", []Label{{Name: "dependency"}}},
	}
}

// Sample is one value of a gauge; Label is the value of its label, if it has one.
type Sample struct {
	Label string
	Value float64
}

// Board holds the last known values of the gauges. Whoever collects metrics reads them here, so that no scrape makes a
// query, however often it comes. A gauge whose values are not shown anew in time has none, which is what an alert on
// absence looks for.
type Board struct {
	now func() time.Time

	mu    sync.Mutex
	shown map[string]shown
}

type shown struct {
	samples map[string]float64
	until   time.Time
}

func newBoard(meter metric.Meter) (*Board, error) {
	b := &Board{now: time.Now, shown: map[string]shown{}}
	for _, m := range gauges() {
		if m.Name == RateRemaining || m.Name == RateLimit {
			continue // they are noted where a forge is called
		}
		_, err := meter.Float64ObservableGauge(m.Name, metric.WithDescription(m.Help), metric.WithUnit(m.Unit),
			metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error { b.observe(m, o); return nil }))
		if err != nil {
			return nil, fmt.Errorf("telemetry: metric %s: %w", m.Name, err)
		}
	}
	return b, nil
}

// Show replaces a gauge's values; they are good for a while. It panics for what is no gauge, which is a mistake in the code.
func (b *Board) Show(gauge string, good time.Duration, samples ...Sample) {
	if !slices.ContainsFunc(gauges(), func(m Metric) bool { return m.Name == gauge }) {
		panic("telemetry: no gauge " + gauge)
	}
	values := make(map[string]float64, len(samples))
	for _, s := range samples {
		values[s.Label] = s.Value
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shown[gauge] = shown{values, b.now().Add(good)}
}

// Clear takes a gauge's values away.
func (b *Board) Clear(gauge string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.shown, gauge)
}

func (b *Board) observe(m Metric, o metric.Float64Observer) {
	b.mu.Lock()
	s := b.shown[m.Name]
	values := maps.Clone(s.samples)
	b.mu.Unlock()
	if b.now().After(s.until) {
		return
	}
	for label, value := range values {
		if len(m.Labels) == 0 {
			o.Observe(value)
			continue
		}
		o.Observe(value, metric.WithAttributes(attribute.String(m.Labels[0].Name, label)))
	}
}
