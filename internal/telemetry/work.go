package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sre-agent/sre-agent/internal/about"
)

type (
	// Outcome is what became of a delivery or of an attempt.
	Outcome string
	// SandboxFailure says why a sandbox did not bring its script to an end.
	SandboxFailure string
	// ScanFailure says what became of a scan that failed.
	ScanFailure string
	// Promise is one of those that an audit looks after.
	Promise string
)

// The values.
const (
	DeliveryRun       Outcome = "run"
	DeliveryCoalesced Outcome = "coalesced"
	DeliveryDuplicate Outcome = "duplicate"
	DeliveryIgnored   Outcome = "ignored"
	DeliveryDead      Outcome = "dead"

	AttemptFixed      Outcome = "fixed"
	AttemptDeclined   Outcome = "declined"
	AttemptBlocked    Outcome = "blocked"
	AttemptSuperseded Outcome = "superseded"
	AttemptGivenBack  Outcome = "given_back" // it does not count
	AttemptCrashed    Outcome = "crashed"

	SandboxError   SandboxFailure = "error" // it could not be made
	SandboxTimeout SandboxFailure = "timeout"
	SandboxMemory  SandboxFailure = "memory"
	SandboxDisk    SandboxFailure = "disk"

	ScanRetried ScanFailure = "retried"
	ScanGivenUp ScanFailure = "given_up"

	OnePullRequest Promise = "duplicate_pull_requests" // one run has two that are open
	NoSelfTrigger  Promise = "self_triggered_runs"     // a run mends what the agent itself pushed
	NothingLost    Promise = "lost_deliveries"         // the stream is done with a delivery that no record knows
	FencesHold     Promise = "fence_violations"        // two claims of one run overlap, or a write has a fence that was not issued
)

// The metrics of deliveries, attempts and audits.
const (
	DeliveriesRecorded = "sre_agent_deliveries_recorded_total"
	RecordDelay        = "sre_agent_delivery_record_delay_seconds"
	StartDelay         = "sre_agent_run_start_delay_seconds"
	Attempts           = "sre_agent_attempts_total"
	SandboxFailures    = "sre_agent_sandbox_failures_total"
	PromisesBroken     = "sre_agent_promises_broken_total"
	ScannerFailures    = "sre_agent_scanner_failures_total"
	RepositoryRuns     = "sre_agent_repository_runs_ended_total"
)

// Promises are those that an audit looks after.
func Promises() []Promise { return []Promise{OnePullRequest, NoSelfTrigger, NothingLost, FencesHold} }

func workMetrics() []Metric {
	return []Metric{
		{DeliveriesRecorded, counter, "", "Deliveries recorded, by what became of them.", []Label{{"outcome", words(DeliveryRun, DeliveryCoalesced, DeliveryDuplicate, DeliveryIgnored, DeliveryDead)}}},
		{RecordDelay, histogram, "s", "Time from a delivery's arrival to its record. Replayed ones are left out.", nil},
		{StartDelay, histogram, "s", "Time from when a run was due to its claim by a runner.", nil},
		{Attempts, counter, "", "Attempts that ended, by how.", []Label{{"outcome", words(AttemptFixed, AttemptDeclined, AttemptBlocked, AttemptSuperseded, AttemptGivenBack, AttemptCrashed)}}},
		{SandboxFailures, counter, "", "Sandboxes that could not be made, or were ended by a limit.", []Label{{"reason", words(SandboxError, SandboxTimeout, SandboxMemory, SandboxDisk)}}},
		{ScannerFailures, counter, "", "Scans that failed: tried once more, or given up, which ends the run.", []Label{{"reason", words(ScanRetried, ScanGivenUp)}}},
		{PromisesBroken, counter, "", "Broken promises that were found, by the audit or on the forge. Each must stay 0.", []Label{{"promise", words(Promises()...)}}},
		{RepositoryRuns, counter, "", "Runs that ended, by repository. Only with METRICS_REPOSITORIES, for that many repositories; the others are `other`.", []Label{{Name: "repository"}}},
	}
}

// DeliveryRecorded counts a delivery's record and, unless it is of another time, how long it took; after is negative then.
func (c *Counters) DeliveryRecorded(ctx context.Context, o Outcome, after time.Duration) {
	c.add(ctx, DeliveriesRecorded, string(o), 1)
	if after >= 0 {
		c.histograms[RecordDelay].Record(ctx, after.Seconds())
	}
}

// RunStarted records how long after it was due a run was claimed.
func (c *Counters) RunStarted(ctx context.Context, late time.Duration) {
	c.histograms[StartDelay].Record(ctx, max(late, 0).Seconds())
}

// AttemptEnded counts an attempt.
func (c *Counters) AttemptEnded(ctx context.Context, o Outcome) { c.add(ctx, Attempts, string(o), 1) }

// SandboxFailed counts a sandbox that did not bring its script to an end.
func (c *Counters) SandboxFailed(ctx context.Context, f SandboxFailure) {
	c.add(ctx, SandboxFailures, string(f), 1)
}

// ScanFailed counts a scan that failed.
func (c *Counters) ScanFailed(ctx context.Context, f ScanFailure) {
	c.add(ctx, ScannerFailures, string(f), 1)
}

// PromiseBroken counts a broken promise that was not known before.
func (c *Counters) PromiseBroken(ctx context.Context, p Promise) {
	c.add(ctx, PromisesBroken, string(p), 1)
}

// repositories hands out labels to the first repositories that ask, up to a cap.
type repositories struct {
	most int

	mu    sync.Mutex
	known map[string]bool
}

func (r *repositories) label(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case name == "":
		return Other
	case r.known[name]:
		return name
	case len(r.known) >= r.most:
		return Other
	}
	if r.known == nil {
		r.known = map[string]bool{}
	}
	r.known[name] = true
	return name
}

// countRepository counts the end of a run of the repository that ctx is about.
func (c *Counters) countRepository(ctx context.Context) {
	if c.repositories.most > 0 {
		label := c.repositories.label(about.From(ctx).Repository)
		c.counters[RepositoryRuns].Add(ctx, 1, metric.WithAttributes(attribute.String("repository", label)))
	}
}
