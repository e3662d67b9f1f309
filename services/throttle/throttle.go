// Package throttle records deliveries, finds or creates their runs, and decides when each may start.
//
// It promises that every delivery ends in exactly one record with a named reason, and that waiting, whatever
// its cause, is a row: a message is acknowledged as soon as the record is committed, never held.
package throttle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/about"
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/streams"
)

// Recorder is what the handler needs of the store.
type Recorder interface {
	RecordEnd(ctx context.Context, d store.Delivery, outcome, reason string) (store.Record, error)
	RecordFailure(ctx context.Context, d store.Delivery, f ci.Failure, start store.Start, traceParent string) (store.Record, error)
	RecordSuccess(ctx context.Context, d store.Delivery, f ci.Failure) (store.Record, error)
	RecordNudge(ctx context.Context, d store.Delivery, n store.Nudge) (store.Record, error)
}

// Rate reserves a start: it says how long this very call has to wait.
type Rate interface {
	Reserve(ctx context.Context, key string, perMinute, burst int) (time.Duration, error)
}

// Emitter publishes events.
type Emitter interface {
	Emit(ctx context.Context, e streams.Event)
}

// Intake records deliveries from the stream.
type Intake struct {
	Store    Recorder
	Rate     Rate
	Events   Emitter
	Counters *telemetry.Counters
	Log      *slog.Logger
	// PerMinute is REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE.
	PerMinute int
	// Rates are lower ones that operators have set; nil is none.
	Rates *Rates
	// AgentEmail is the author of our own commits: their failures are not worked on.
	AgentEmail string
	// Forks has failures of commits that live in a fork recorded as runs; a repository's own settings decide about them.
	Forks bool
	// Wake tells the scheduler that a run is new.
	Wake func()
}

// Handle records one delivery. If the process dies before the commit, the message comes again and nothing has
// happened; if it dies after, the record is found and the message is acknowledged.
func (t *Intake) Handle(ctx context.Context, m *streams.Message) streams.Outcome {
	d, err := delivery(m)
	if err != nil {
		return streams.Dead("bad_delivery", err)
	}
	event, err := parse(d, m.Body)
	if m.Header.Get(streams.HdrScoped) != "" {
		bind(&event.Failure.Repository)
	}
	if err != nil {
		if _, rerr := t.Store.RecordEnd(ctx, d, store.OutcomeDead, "malformed"); rerr != nil {
			return streams.Leave(rerr)
		}
		t.Counters.DeliveryRecorded(ctx, telemetry.DeliveryDead, -1)
		return streams.Dead("malformed", err)
	}
	ctx = about.With(ctx, about.Work{Repository: event.Failure.Repository.FullName(), RunKey: runKey(event)})
	rec, throttled, err := t.record(ctx, d, event)
	if err != nil {
		return streams.Leave(err)
	}
	ctx = about.With(ctx, about.Work{RunID: rec.RunID})
	t.Counters.DeliveryRecorded(ctx, outcomeOf(rec), after(m, rec))
	t.tell(ctx, d, event, rec, throttled)
	return streams.Done()
}

// outcomeOf is what became of a delivery that came in now; the record may be of an earlier time.
func outcomeOf(rec store.Record) telemetry.Outcome {
	if rec.Known {
		return telemetry.DeliveryDuplicate
	}
	return telemetry.Outcome(rec.Outcome)
}

// after is how long a delivery took to be recorded, or negative for one that says nothing of that: it was recorded before,
// or is played again.
func after(m *streams.Message, rec store.Record) time.Duration {
	if rec.Known || m.Header.Get(streams.HdrReplayOf) != "" || m.Time.IsZero() {
		return -1
	}
	return max(time.Since(m.Time), 0)
}

// runKey is the key of the run that an event is about, or "".
func runKey(e webhook.Event) string {
	if e.Kind != webhook.Failure && e.Kind != webhook.Success {
		return ""
	}
	return e.Failure.RunKey()
}

// reasonOwnAuthor is why a failure of a commit that the agent itself wrote is ignored, wherever it has been merged.
const reasonOwnAuthor = "own_author"

// delivery reads a delivery from its message. The body's hash is taken here, off the way to the sender's answer.
func delivery(m *streams.Message) (store.Delivery, error) {
	sum := sha256.Sum256(m.Body)
	d := store.Delivery{
		Provider: m.Header.Get(streams.HdrProvider), ID: m.Header.Get(streams.HdrDeliveryID), Event: m.Header.Get(streams.HdrEvent),
		BodySHA256: hex.EncodeToString(sum[:]), ReceivedAt: m.Time,
	}
	if m.Type != streams.TypeDelivery || d.Provider == "" || d.ID == "" || d.Event == "" {
		return d, fmt.Errorf("not a delivery: type %q, provider %q, id %q, event %q", m.Type, d.Provider, d.ID, d.Event)
	}
	return d, nil
}

func parse(d store.Delivery, body []byte) (webhook.Event, error) {
	p, ok := providers.Find(d.Provider)
	if !ok {
		return webhook.Event{}, fmt.Errorf("unknown provider %q", d.Provider)
	}
	return p.Parse(d.Event, body)
}

// bind makes a repository's id one with its name. Whoever has the key of one repository can write any id into a body,
// another repository's too; the name is what the key was chosen by.
func bind(r *ci.Repository) {
	if r.ID != "" {
		r.ID += "#" + ci.ShortKey(strings.ToLower(r.FullName()))
	}
}

func (t *Intake) record(ctx context.Context, d store.Delivery, event webhook.Event) (rec store.Record, throttled bool, err error) {
	reason := event.Reason
	fork := event.Failure.FromFork() && !t.Forks
	own := t.AgentEmail != "" && strings.EqualFold(event.Failure.CommitAuthor, t.AgentEmail)
	switch {
	case event.Kind == webhook.Failure && own:
		reason = reasonOwnAuthor
	case event.Kind == webhook.Failure && !fork:
		start, err := t.start(ctx, event.Failure)
		if err != nil {
			return rec, false, err
		}
		rec, err = t.Store.RecordFailure(ctx, d, event.Failure, start, streams.TraceParent(ctx))
		return rec, start.Delay > 0, err
	case event.Kind == webhook.Success && !fork:
		rec, err = t.Store.RecordSuccess(ctx, d, event.Failure)
		return rec, false, err
	case event.Kind == webhook.Nudge:
		rec, err = t.Store.RecordNudge(ctx, d, store.Nudge{
			Owner: event.Moved.Owner, Name: event.Moved.Name, Number: event.Moved.PullRequest, Branch: event.Moved.Branch,
		})
		return rec, false, err
	case event.Kind != webhook.Ignored:
		reason = "fork"
	}
	rec, err = t.Store.RecordEnd(ctx, d, store.OutcomeIgnored, reason)
	return rec, false, err
}

// start reserves the delivery's place in the repository's rate: above the limit a run is delayed, never refused.
func (t *Intake) start(ctx context.Context, f ci.Failure) (store.Start, error) {
	key := f.Provider + ":" + f.Repository.ID
	perMinute := t.Rates.least(key, t.PerMinute)
	delay, err := t.Rate.Reserve(ctx, key, perMinute, perMinute)
	if err != nil {
		return store.Start{}, fmt.Errorf("rate limit of %s: %w", f.Repository.FullName(), err)
	}
	if delay > 0 {
		return store.Start{Reason: run.WaitRateLimited, Delay: delay}, nil
	}
	return store.Start{Reason: run.WaitNew}, nil
}

// tell counts and announces what became of a delivery.
func (t *Intake) tell(ctx context.Context, d store.Delivery, event webhook.Event, rec store.Record, throttled bool) {
	switch {
	case rec.Known:
		t.Counters.WebhookDeduped(ctx, telemetry.DedupDeliveryID)
	case rec.Outcome == store.OutcomeDuplicate:
		t.Counters.WebhookDeduped(ctx, telemetry.DedupBody)
	case rec.Outcome == store.OutcomeCoalesced:
		t.Counters.WebhookDeduped(ctx, telemetry.DedupCoalesced)
	case rec.Outcome == store.OutcomeIgnored && rec.Reason == webhook.IgnoredOwnBranch:
		t.Counters.LoopBlocked(ctx, telemetry.LoopOwnBranch)
	case rec.Outcome == store.OutcomeIgnored && rec.Reason == reasonOwnAuthor:
		t.Counters.LoopBlocked(ctx, telemetry.LoopOwnAuthor)
	case rec.Outcome == store.OutcomeIgnored:
		t.Counters.RunSkipped(ctx, telemetry.SkipIgnored)
	case rec.Outcome == store.OutcomeRun:
		if throttled {
			t.Counters.Throttled(ctx, telemetry.ThrottleRateLimited)
		}
		t.Wake()
	}
	for _, id := range rec.Superseded {
		t.Counters.RunEnded(ctx, telemetry.EndingSuperseded)
		t.Events.Emit(ctx, streams.Event{
			Kind: "run.superseded", Provider: d.Provider, Owner: event.Failure.Repository.Owner, Name: event.Failure.Repository.Name,
			RunID: id, DeliveryID: d.ID, Reason: store.ReasonGreen,
		})
	}
	repo := event.Failure.Repository
	if event.Kind == webhook.Nudge {
		repo.Owner, repo.Name = event.Moved.Owner, event.Moved.Name
	}
	outcome := string(outcomeOf(rec))
	t.Log.InfoContext(ctx, "delivery recorded", "event", d.Event, "outcome", outcome, "known", rec.Known, "reason", rec.Reason)
	t.Events.Emit(ctx, streams.Event{
		Kind: "delivery." + outcome, Provider: d.Provider, Owner: repo.Owner, Name: repo.Name,
		RunID: rec.RunID, DeliveryID: d.ID, Reason: rec.Reason, Detail: d.Event,
	})
}
