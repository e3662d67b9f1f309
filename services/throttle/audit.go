package throttle

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/streams"
)

// What one round of the audit looks at, at most.
const (
	auditRuns       = 5_000
	auditDeliveries = 50_000
	auditLetters    = 10_000
	auditBatch      = 1_000

	auditedRuns       = "audit/runs"
	auditedDeliveries = "audit/" + streams.Deliveries
)

// Evidence is what the audit needs of the store.
type Evidence interface {
	NewestRun(ctx context.Context) (int64, error)
	AuditRuns(ctx context.Context, first, last int64, agentEmail string) ([]store.Finding, error)
	Records
}

// Headers is what the audit needs of the streams.
type Headers interface {
	ScanDone(ctx context.Context, stream, consumer string, from uint64, n int, visit func(streams.Kept) error) (next, last uint64, err error)
	Letters(ctx context.Context, visit func(streams.Letter) (more bool, err error)) error
}

// Audit compares the stream with the records, and these with each other, for what must never be. It changes nothing.
//
// Each round looks at the newest runs and at the next ones of all others, in turn, and at the deliveries since the last
// round: what it costs is bounded, however many there are. A delivery is lost when the stream is done with it and two
// rounds found neither a record of it nor a dead letter: the reconciler hands it in again in between.
type Audit struct {
	Stream   Headers
	Store    Evidence
	Board    *telemetry.Board
	Counters *telemetry.Counters
	Log      *slog.Logger
	// AgentEmail is the author of our own commits.
	AgentEmail string
	Interval   time.Duration

	// runs are the runs that break a promise, and suspects the deliveries without a record, with the rounds that found so.
	runs     map[store.Finding]bool
	suspects map[suspect]int
	walked   uint64
	ended    time.Time
}

// suspect is a delivery that no record knows.
type suspect struct {
	provider, id string
	sequence     uint64
}

// runOnce is one round.
func (a *Audit) runOnce(ctx context.Context) error {
	if a.runs == nil {
		a.runs, a.suspects = map[store.Finding]bool{}, map[suspect]int{}
	}
	if err := a.lookAtRuns(ctx); err != nil {
		return err
	}
	if err := a.lookAtDeliveries(ctx); err != nil {
		return err
	}
	a.ended = time.Now()
	return nil
}

// lookAtRuns looks at the newest runs, and at the next range of all.
func (a *Audit) lookAtRuns(ctx context.Context) error {
	newest, err := a.Store.NewestRun(ctx)
	if err != nil {
		return err
	}
	if err := a.lookAtRange(ctx, max(newest-auditRuns, 0)+1, newest); err != nil {
		return err
	}
	at, err := a.Store.Checkpoint(ctx, auditedRuns)
	if err != nil {
		return err
	}
	if at >= newest {
		at = 0 // all over again
	}
	if err := a.lookAtRange(ctx, at+1, at+auditRuns); err != nil {
		return err
	}
	return a.Store.SetCheckpoint(ctx, auditedRuns, at+auditRuns)
}

func (a *Audit) lookAtRange(ctx context.Context, first, last int64) error {
	found, err := a.Store.AuditRuns(ctx, first, last, a.AgentEmail)
	if err != nil {
		return err
	}
	still := map[store.Finding]bool{}
	for _, f := range found {
		still[f] = true
		if !a.runs[f] {
			a.broken(ctx, telemetry.Promise(f.Promise), "run_id", f.RunID)
		}
		a.runs[f] = true
	}
	for f := range a.runs {
		if f.RunID >= first && f.RunID <= last && !still[f] {
			delete(a.runs, f)
		}
	}
	return nil
}

// lookAtDeliveries looks at the deliveries since the last round, and once more at those that no record knew.
func (a *Audit) lookAtDeliveries(ctx context.Context) error {
	if a.walked == 0 {
		at, err := a.Store.Checkpoint(ctx, auditedDeliveries)
		if err != nil {
			return err
		}
		a.walked = uint64(at)
	}
	looked := make([]suspect, 0, len(a.suspects))
	for s := range a.suspects {
		looked = append(looked, s)
	}
	next, last, err := a.Stream.ScanDone(ctx, streams.Deliveries, streams.ThrottleConsumer, a.walked+1, auditDeliveries, func(k streams.Kept) error {
		s := suspect{k.Header.Get(streams.HdrProvider), k.Header.Get(streams.HdrDeliveryID), k.Sequence}
		if s.provider != "" && s.id != "" {
			looked = append(looked, s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if last < a.walked { // the stream was made anew: its sequences began again
		a.walked, a.suspects = 0, map[suspect]int{}
		return a.Store.SetCheckpoint(ctx, auditedDeliveries, 0)
	}
	if err := a.withoutRecord(ctx, looked); err != nil {
		return err
	}
	a.walked = next - 1
	// Whoever audits after a restart begins at the oldest that is not cleared up.
	position := a.walked
	for s := range a.suspects {
		position = min(position, s.sequence-1)
	}
	return a.Store.SetCheckpoint(ctx, auditedDeliveries, int64(position))
}

// withoutRecord keeps those of the looked at that have neither a record nor a dead letter.
func (a *Audit) withoutRecord(ctx context.Context, looked []suspect) error {
	byProvider := map[string][]suspect{}
	for _, s := range looked {
		byProvider[s.provider] = append(byProvider[s.provider], s)
	}
	unknown := map[uint64]suspect{}
	for provider, all := range byProvider {
		for len(all) > 0 {
			n := min(len(all), auditBatch)
			ids := make([]string, 0, n)
			for _, s := range all[:n] {
				ids = append(ids, s.id)
			}
			known, err := a.Store.KnownDeliveries(ctx, provider, ids)
			if err != nil {
				return err
			}
			for _, s := range all[:n] {
				if !known[s.id] {
					unknown[s.sequence] = s
				}
			}
			all = all[n:]
		}
	}
	if len(unknown) > 0 {
		if err := a.withoutLetter(ctx, unknown); err != nil {
			return err
		}
	}
	found := map[suspect]int{}
	for _, s := range unknown {
		if found[s] = a.suspects[s] + 1; found[s] == lostAfter {
			a.broken(ctx, telemetry.NothingLost, "provider", s.provider, "delivery_id", s.id, "sequence", s.sequence)
		}
	}
	a.suspects = found
	return nil
}

// lostAfter is how many rounds have to find no record.
const lostAfter = 2

// withoutLetter takes out those that have a dead letter.
func (a *Audit) withoutLetter(ctx context.Context, unknown map[uint64]suspect) error {
	n := 0
	return a.Stream.Letters(ctx, func(l streams.Letter) (bool, error) {
		if l.Stream == streams.Deliveries {
			delete(unknown, l.OriginSequence)
		}
		n++
		return n < auditLetters && len(unknown) > 0, nil
	})
}

func (a *Audit) broken(ctx context.Context, p telemetry.Promise, about ...any) {
	a.Counters.PromiseBroken(ctx, p)
	a.Log.ErrorContext(ctx, "the audit found a broken promise", append([]any{"promise", p}, about...)...)
}

// show shows what stands.
func (a *Audit) show(good time.Duration) {
	if a.ended.IsZero() {
		return
	}
	standing := map[telemetry.Promise]float64{}
	for f := range a.runs {
		standing[telemetry.Promise(f.Promise)]++
	}
	for _, rounds := range a.suspects {
		if rounds >= lostAfter {
			standing[telemetry.NothingLost]++
		}
	}
	values := make([]telemetry.Sample, 0, len(standing))
	for _, p := range telemetry.Promises() {
		values = append(values, telemetry.Sample{Label: string(p), Value: standing[p]})
	}
	a.Board.Show(telemetry.AuditFindings, good, values...)
	a.Board.Show(telemetry.AuditAge, good, telemetry.Sample{Value: time.Since(a.ended).Seconds()})
}

// Loop audits every Interval for as long as lead holds, and shows what stands.
func (a *Audit) Loop(ctx context.Context, holds func(context.Context) error) error {
	tick := time.NewTicker(cmp.Or(min(a.Interval, watchEvery), watchEvery))
	defer tick.Stop()
	var due time.Time
	for {
		if err := holds(ctx); err != nil {
			return err
		}
		if !time.Now().Before(due) {
			due = time.Now().Add(a.Interval)
			if err := a.runOnce(ctx); err != nil && ctx.Err() == nil {
				a.Log.WarnContext(ctx, "the audit failed; it is tried again", "error", err)
			}
		}
		a.show(watchGood)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
