package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Counters counts what the services decide. Every counter starts at zero for each of its reasons, so that a rate can
// be taken from the first event on.
type Counters struct {
	metrics    map[string]Metric
	counters   map[string]metric.Int64Counter
	histograms map[string]metric.Float64Histogram
	// ready are the attributes of each value of each counter, made once: counting is on the way of every webhook.
	ready        map[[2]string]metric.AddOption
	repositories repositories
}

// secondsBuckets reach from a stage that only looks to a run that waits for an hour.
var secondsBuckets = []float64{0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600}

func newCounters(meter metric.Meter, mostRepositories int) (*Counters, error) {
	c := &Counters{
		metrics:    make(map[string]Metric),
		counters:   make(map[string]metric.Int64Counter),
		histograms: make(map[string]metric.Float64Histogram),
		ready:      make(map[[2]string]metric.AddOption),
	}
	c.repositories.most = mostRepositories
	for _, m := range Metrics() {
		c.metrics[m.Name] = m
		var err error
		switch m.Kind {
		case counter:
			c.counters[m.Name], err = meter.Int64Counter(m.Name, metric.WithDescription(m.Help))
		case histogram:
			c.histograms[m.Name], err = meter.Float64Histogram(m.Name, metric.WithDescription(m.Help), metric.WithUnit(m.Unit),
				metric.WithExplicitBucketBoundaries(secondsBuckets...))
		}
		if err != nil {
			return nil, fmt.Errorf("telemetry: metric %s: %w", m.Name, err)
		}
		if m.Kind == counter && len(m.Labels[0].Values) > 0 {
			for _, value := range append([]string{Other}, m.Labels[0].Values...) {
				c.ready[[2]string{m.Name, value}] = metric.WithAttributeSet(attribute.NewSet(attribute.String(m.Labels[0].Name, value)))
			}
			for _, value := range m.Labels[0].Values {
				c.add(context.Background(), m.Name, value, 0)
			}
		}
	}
	return c, nil
}

// WebhookDeduped counts a delivery that repeats a known one.
func (c *Counters) WebhookDeduped(ctx context.Context, r DedupReason) {
	c.add(ctx, WebhookDeduped, string(r), 1)
}

// RunSkipped counts a time that a run's pipeline did not run.
func (c *Counters) RunSkipped(ctx context.Context, r SkipReason) {
	c.add(ctx, RunsSkipped, string(r), 1)
}

// Retry counts an attempt that is followed by another one.
func (c *Counters) Retry(ctx context.Context, r RetryReason) { c.add(ctx, Retry, string(r), 1) }

// Throttled counts a time that a run was made to wait.
func (c *Counters) Throttled(ctx context.Context, r ThrottleReason) {
	c.add(ctx, Throttled, string(r), 1)
}

// LoopBlocked counts a time that a guard against loops stopped something.
func (c *Counters) LoopBlocked(ctx context.Context, r LoopReason) {
	c.add(ctx, LoopBlocked, string(r), 1)
}

// PRCreateSkipped counts a fix for which no pull request was created.
func (c *Counters) PRCreateSkipped(ctx context.Context, r PRSkipReason) {
	c.add(ctx, PRCreateSkipped, string(r), 1)
}

// WebhookRejected counts a webhook request that was refused.
func (c *Counters) WebhookRejected(ctx context.Context, r RejectReason) {
	c.add(ctx, WebhookRejected, string(r), 1)
}

// RunEnded counts a run that ended.
func (c *Counters) RunEnded(ctx context.Context, e Ending) {
	c.add(ctx, RunsEnded, string(e), 1)
	c.countRepository(ctx)
}

// PullRequestFate counts what became of a pull request.
func (c *Counters) PullRequestFate(ctx context.Context, f PRFate) {
	c.add(ctx, PullRequestFates, string(f), 1)
}

// Command counts a command that a person gave.
func (c *Counters) Command(ctx context.Context, o CommandOutcome) { c.add(ctx, Commands, string(o), 1) }

// ModelCalled counts a question to a language model.
func (c *Counters) ModelCalled(ctx context.Context, o ModelOutcome) {
	c.add(ctx, ModelCalls, string(o), 1)
}

// ModelSpent adds tokens and cost, in millionths, of a call; reported says that the provider told them.
func (c *Counters) ModelSpent(ctx context.Context, tokens, cost int64, reported bool) {
	kind := modelKinds[1]
	if reported {
		kind = modelKinds[0]
	}
	c.add(ctx, ModelTokens, kind, tokens)
	c.add(ctx, ModelCost, kind, cost)
}

// StageTook records how long a stage of the fix pipeline took.
func (c *Counters) StageTook(ctx context.Context, s Stage, r Result, took time.Duration) {
	labels := c.metrics[StageDuration].Labels
	c.histograms[StageDuration].Record(ctx, took.Seconds(), metric.WithAttributes(
		attribute.String("stage", known(labels[0].Values, string(s))),
		attribute.String("result", known(labels[1].Values, string(r)))))
}

// PullRequestAfter records the time from a webhook's arrival to its pull request.
func (c *Counters) PullRequestAfter(ctx context.Context, took time.Duration) {
	c.histograms[WebhookToPullRequest].Record(ctx, took.Seconds())
}

func (c *Counters) add(ctx context.Context, name, value string, n int64) {
	c.counters[name].Add(ctx, n, c.ready[[2]string{name, known(c.metrics[name].Labels[0].Values, value)}])
}

// EndFingerprintReturns is why a run ends whose trouble kept coming back after merged pull requests.
const EndFingerprintReturns = "fingerprint_returns"

// skips are the reasons of a run's end that mean: there was a fix, or would have been one, and no pull request was
// created for it.
var skips = map[string]PRSkipReason{
	"pull_request_closed": PRExistsClosed, "pull_request_open": PRFingerprint, "branch_taken": PRBranchTaken,
	"stale": PRStale, "branch_deleted": PRStale, "digest_mismatch": PRDigest, "incident": PRIncident, "green": PRGreen,
	"person_fixing": PRPersonFixing, "suggested": PRSuggested, "suggested_before": PRSuggested, "suggest_mode": PRSuggested,
}

// EndedWithoutPullRequest counts a run's end by its reason, if that is one of the reasons to create no pull request.
// known says that the trouble itself was known before, and refused or not.
func (c *Counters) EndedWithoutPullRequest(ctx context.Context, reason string, known bool) {
	if skip, ok := skips[reason]; ok {
		c.PRCreateSkipped(ctx, skip)
	}
	if known && (reason == "pull_request_closed" || reason == EndFingerprintReturns) {
		c.LoopBlocked(ctx, LoopFingerprint)
	}
}
