package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Delivery is one webhook request as the stream holds it.
type Delivery struct {
	Provider   string
	ID         string
	Event      string
	BodySHA256 string
	ReceivedAt time.Time
}

// What a delivery may end as.
const (
	OutcomeRun       = "run"
	OutcomeCoalesced = "coalesced"
	OutcomeDuplicate = "duplicate"
	OutcomeIgnored   = "ignored"
	OutcomeDead      = "dead"
)

// Record says what became of a delivery. Known is true when this very delivery had been recorded before; the
// record is then the earlier one.
type Record struct {
	Outcome string
	Reason  string
	RunID   int64
	Known   bool
	// Superseded are the runs that this delivery ended, because their pipeline passed later.
	Superseded []int64
}

// Start is when a new run may start at the earliest, and why not sooner.
type Start struct {
	Reason string
	Delay  time.Duration
}

// RecordEnd records a delivery that makes no run: ignored or dead, with its reason.
func (s *Store) RecordEnd(ctx context.Context, d Delivery, outcome, reason string) (Record, error) {
	return s.record(ctx, d, func(*db.Queries) (Record, error) {
		return Record{Outcome: outcome, Reason: reason}, nil
	})
}

// ReasonGreen is why a run ends whose pipeline passed on the same commit later.
const ReasonGreen = "green"

const explainGreen = "the same pipeline passed on this commit later, so there is nothing to mend"

// RecordFailure records a delivery of a failure and finds or creates its run, in one transaction. A run is found by
// its key and by every name of the failure. One whose pipeline has passed since is recorded as ended.
func (s *Store) RecordFailure(ctx context.Context, d Delivery, f ci.Failure, start Start, traceParent string) (Record, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return Record{}, err
	}
	if id, ok := s.recordNewRun(ctx, d, f, body, start, traceParent); ok {
		return Record{Outcome: OutcomeRun, RunID: id}, nil
	}
	return s.record(ctx, d, func(q *db.Queries) (Record, error) {
		if err := q.LockPipeline(ctx, pipeline(f)); err != nil {
			return Record{}, err
		}
		run, err := q.FindRunByNames(ctx, db.FindRunByNamesParams{RunKey: f.RunKey(), Names: f.Known()})
		switch {
		case err == nil:
			return Record{Outcome: OutcomeCoalesced, RunID: run.ID}, q.NameRun(ctx, db.NameRunParams{Names: f.Claimed(), RunID: run.ID})
		case !errors.Is(one(err), ErrNotFound):
			return Record{}, err
		}
		off, err := q.RepositorySwitchedOff(ctx, db.RepositorySwitchedOffParams{Provider: f.Provider, ExternalID: f.Repository.ID})
		if err != nil || off {
			return Record{Outcome: OutcomeIgnored, Reason: ReasonRepositoryOff}, err
		}
		return newRun(ctx, q, d, f, db.CreateRunParams{
			RunKey: f.RunKey(), Failure: body, Reason: start.Reason, DelaySeconds: start.Delay.Seconds(), TraceParent: traceParent,
		})
	})
}

func newRun(ctx context.Context, q *db.Queries, d Delivery, f ci.Failure, row db.CreateRunParams) (Record, error) {
	var err error
	if row.RepositoryID, err = q.EnsureRepository(ctx, db.EnsureRepositoryParams{
		Provider: f.Provider, ExternalID: f.Repository.ID, Owner: f.Repository.Owner, Name: f.Repository.Name,
	}); err != nil {
		return Record{}, err
	}
	run, err := q.CreateRun(ctx, row)
	if err != nil {
		return Record{}, err
	}
	if err := q.NameRun(ctx, db.NameRunParams{Names: f.Claimed(), RunID: run.ID}); err != nil {
		return Record{}, err
	}
	r := Record{Outcome: OutcomeRun, RunID: run.ID}
	green, err := q.GreenSince(ctx, db.GreenSinceParams{Names: f.Known(), Finished: finished(d, f)})
	if err == nil && green {
		r.Superseded = []int64{run.ID}
		err = q.SupersedeRun(ctx, db.SupersedeRunParams{ID: run.ID, Explanation: explainGreen})
	}
	return r, err
}

// RecordSuccess records a delivery of a whole pipeline's success, and ends what waits to mend an earlier failure of it.
func (s *Store) RecordSuccess(ctx context.Context, d Delivery, f ci.Failure) (Record, error) {
	return s.record(ctx, d, func(q *db.Queries) (Record, error) {
		r := Record{Outcome: OutcomeIgnored, Reason: "success"}
		if err := q.LockPipeline(ctx, pipeline(f)); err != nil {
			return Record{}, err
		}
		err := q.RecordGreen(ctx, db.RecordGreenParams{Names: f.Names(), Finished: finished(d, f)})
		if err != nil {
			return Record{}, err
		}
		r.Superseded, err = q.SupersedeByGreen(ctx, db.SupersedeByGreenParams{
			RunKey: f.RunKey(), Names: f.Known(), Finished: finished(d, f), Explanation: explainGreen,
		})
		return r, err
	})
}

// PruneGreens forgets successes that are older than a failure of theirs may come late.
func (s *Store) PruneGreens(ctx context.Context, older time.Duration) (int64, error) {
	return s.q.PruneGreens(ctx, older.Seconds())
}

// pipeline is what everything that is recorded of one commit's pipelines is serialised by.
func pipeline(f ci.Failure) string {
	return f.Provider + ":" + f.Repository.ID + ":" + f.Commit
}

// finished is when a pipeline ended: by its provider, or else when we heard of it.
func finished(d Delivery, f ci.Failure) time.Time {
	if f.FinishedAt.IsZero() {
		return d.ReceivedAt
	}
	return f.FinishedAt
}

// recordNewRun tries the usual case, a new delivery that makes a new run, in one statement. Whatever stands in its
// way, a lost connection included, the longer way finds the record if there is one, and makes it if there is none.
func (s *Store) recordNewRun(ctx context.Context, d Delivery, f ci.Failure, body []byte, start Start, traceParent string) (id int64, ok bool) {
	got, err := s.q.RecordNewRun(ctx, db.RecordNewRunParams{
		Pipeline: pipeline(f), RunKey: f.RunKey(), Known: f.Known(), Claims: f.Claimed(), Finished: finished(d, f),
		Failure: body, Reason: start.Reason, DelaySeconds: start.Delay.Seconds(), TraceParent: traceParent,
		Provider: f.Provider, ExternalID: f.Repository.ID, Owner: f.Repository.Owner, Name: f.Repository.Name,
		DeliveryID: d.ID, Event: d.Event, BodySha256: d.BodySHA256, ReceivedAt: d.ReceivedAt,
	})
	if err != nil || got == 0 {
		return 0, false
	}
	return got, true
}

// record writes the one record of a delivery, unless it has one. decide says what a new delivery becomes.
func (s *Store) record(ctx context.Context, d Delivery, decide func(*db.Queries) (Record, error)) (Record, error) {
	var r Record
	err := s.inTx(ctx, "record delivery", func(q *db.Queries) error {
		for _, key := range []string{d.Provider + "/id/" + d.ID, d.Provider + "/body/" + d.BodySHA256} {
			if err := q.LockDelivery(ctx, key); err != nil {
				return err
			}
		}
		known, err := q.GetDelivery(ctx, db.GetDeliveryParams{Provider: d.Provider, DeliveryID: d.ID})
		if err == nil && known.Outcome != OutcomeDead {
			r = Record{Outcome: known.Outcome, Reason: known.Reason, Known: true}
			if known.RunID != nil {
				r.RunID = *known.RunID
			}
			return nil
		}
		if err != nil && !errors.Is(one(err), ErrNotFound) {
			return err
		}
		if r, err = sameBody(ctx, q, d); err == nil && r.Outcome == "" {
			r, err = decide(q)
		}
		if err != nil {
			return err
		}
		row := db.RecordDeliveryParams{
			Provider: d.Provider, DeliveryID: d.ID, Event: d.Event, BodySha256: d.BodySHA256,
			ReceivedAt: d.ReceivedAt, Outcome: r.Outcome, Reason: r.Reason,
		}
		if r.RunID != 0 {
			row.RunID = &r.RunID
		}
		_, err = q.RecordDelivery(ctx, row)
		return err
	})
	return r, err
}

// sameBody finds a delivery of another id with the same signed body: a captured request sent again.
func sameBody(ctx context.Context, q *db.Queries, d Delivery) (Record, error) {
	other, err := q.FindDeliveryByBody(ctx, db.FindDeliveryByBodyParams{Provider: d.Provider, BodySha256: d.BodySHA256})
	if errors.Is(one(err), ErrNotFound) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, err
	}
	r := Record{Outcome: OutcomeDuplicate, Reason: "same_body"}
	if other.RunID != nil {
		r.RunID = *other.RunID
	}
	return r, nil
}

// DeliveryCounts counts the recorded deliveries by outcome.
func (s *Store) DeliveryCounts(ctx context.Context) (map[string]int64, error) {
	rows, err := s.q.CountDeliveries(ctx)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64, len(rows))
	for _, r := range rows {
		counts[r.Outcome] = r.Count
	}
	return counts, nil
}
