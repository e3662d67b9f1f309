package chaos

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sre-agent/sre-agent/internal/telemetry"
)

//go:embed recount.sql
var recountSQL string

// Series is one reason of a counter.
type Series struct{ Counter, Reason string }

func (s Series) String() string { return s.Counter + "{reason=" + s.Reason + "}" }

// Entry is one time that something should have been counted. At is zero when nobody knows the moment.
type Entry struct {
	Series
	At time.Time
	// Maybe says that it may have been counted or not: a request whose answer nobody heard.
	Maybe bool
}

// Six are the exported counters that must equal a recount of the records (I7).
var Six = []string{
	telemetry.WebhookDeduped, telemetry.RunsSkipped, telemetry.Retry, telemetry.Throttled, telemetry.LoopBlocked, telemetry.PRCreateSkipped,
}

// Recount reads from PostgreSQL everything that the six counters should have counted and that has a record there.
// What has none is listed by Unrecorded. putOffs is how often, ever, a fix was put off because of a cap: the rows tell
// that and a failed try to publish not apart, the programs' logs do.
func Recount(ctx context.Context, conn *pgx.Conn, l Limits, putOffs int) ([]Entry, error) {
	rows, err := conn.Query(ctx, recountSQL, l.Cooldown.Seconds(), l.BaseBackoff.Seconds(), l.MaxBackoff.Seconds())
	if err != nil {
		return nil, fmt.Errorf("recount: %w", err)
	}
	entries, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (e Entry, err error) {
		var at *time.Time
		if err = r.Scan(&e.Counter, &e.Reason, &at); at != nil {
			e.At = *at
		}
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("recount: %w", err)
	}
	return withoutPutOffs(entries, putOffs), nil
}

// withoutPutOffs takes so many of the tries to publish away as were none.
func withoutPutOffs(entries []Entry, n int) []Entry {
	retry := Series{telemetry.Retry, string(telemetry.RetryPublish)}
	return slices.DeleteFunc(entries, func(e Entry) bool {
		drop := n > 0 && e.Series == retry
		if drop {
			n--
		}
		return drop
	})
}

// Unrecorded are the reasons that leave no row in PostgreSQL: they count moments, not ends.
func Unrecorded() []Series {
	return []Series{
		{telemetry.WebhookDeduped, string(telemetry.DedupStreamWindow)},
		{telemetry.WebhookDeduped, string(telemetry.DedupDeliveryID)},
		{telemetry.RunsSkipped, string(telemetry.SkipStale)},
		{telemetry.RunsSkipped, string(telemetry.SkipLocked)},
		{telemetry.Throttled, string(telemetry.ThrottleNoSlot)},
		{telemetry.Throttled, string(telemetry.ThrottlePRCap)},
		{telemetry.Throttled, string(telemetry.ThrottleRateLimited)},
	}
}

// AllSeries is every reason of the six counters.
func AllSeries() (out []Series) {
	for _, m := range telemetry.Metrics() {
		for _, name := range Six {
			if m.Name != name {
				continue
			}
			for _, reason := range m.Labels[0].Values {
				out = append(out, Series{name, reason})
			}
		}
	}
	return out
}

// Count is what was counted of a series in a round, and what its records say. Sure are those of the Recounted whose
// moment nothing disturbed: they must have been counted. The rest may have been lost with the process that was killed.
type Count struct {
	Series
	Counted, Recounted, Sure int
}

// Span is a time in which counts may be lost.
type Span struct{ From, To time.Time }

// Tallies compares what was counted with the entries. An entry without a moment is sure only when nothing at all
// was disturbed.
func Tallies(counted map[Series]int, entries []Entry, disturbed []Span) (out []Count) {
	by := map[Series]*Count{}
	for _, s := range AllSeries() {
		by[s] = &Count{Series: s, Counted: counted[s]}
	}
	for _, e := range entries {
		c := by[e.Series]
		if c == nil {
			c = &Count{Series: e.Series}
			by[e.Series] = c
		}
		c.Recounted++
		if !e.Maybe && !covered(e.At, disturbed) {
			c.Sure++
		}
	}
	for _, c := range by {
		out = append(out, *c)
	}
	return out
}

func covered(at time.Time, spans []Span) bool {
	for _, s := range spans {
		if at.IsZero() || !at.Before(s.From) && !at.After(s.To) {
			return true
		}
	}
	return false
}

func countersEqualARecount(ix *index) (found []string) {
	for _, c := range ix.Counts {
		if c.Counted < c.Sure || c.Counted > c.Recounted {
			found = append(found, fmt.Sprintf("%v counted %d; the records of round %d say %d, and %d of them nothing disturbed", c.Series, c.Counted, ix.Round, c.Recounted, c.Sure))
		}
	}
	return found
}
