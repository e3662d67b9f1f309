package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/sre-agent/sre-agent/internal/chaos"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// What leaves no row is counted from the sender's log and the programs' logs.
var (
	repeated = chaos.Series{Counter: telemetry.WebhookDeduped, Reason: string(telemetry.DedupStreamWindow)}
	known    = chaos.Series{Counter: telemetry.WebhookDeduped, Reason: string(telemetry.DedupDeliveryID)}
	putOff   = chaos.Series{Counter: telemetry.Throttled, Reason: string(telemetry.ThrottlePRCap)}
	noSlot   = chaos.Series{Counter: telemetry.Throttled, Reason: string(telemetry.ThrottleNoSlot)}
)

// uncounted leave nothing behind but the count: a doorbell that found nothing to do.
var uncounted = []chaos.Series{
	{Counter: telemetry.RunsSkipped, Reason: string(telemetry.SkipStale)}, {Counter: telemetry.RunsSkipped, Reason: string(telemetry.SkipLocked)},
}

// logged reads from log lines the moments that have no row.
func logged(text []byte) (out []chaos.Entry) {
	for line := range bytes.Lines(text) {
		var l struct {
			Time   time.Time
			Msg    string
			Reason string
			Known  bool
		}
		if json.Unmarshal(line, &l) != nil {
			continue
		}
		switch {
		case l.Msg == "run can't start yet":
			out = append(out, chaos.Entry{Series: noSlot, At: l.Time})
		case l.Msg == "publication given back" && l.Reason == putOff.Reason:
			out = append(out, chaos.Entry{Series: putOff, At: l.Time})
		case l.Msg == "delivery recorded" && l.Known:
			out = append(out, chaos.Entry{Series: known, At: l.Time})
		}
	}
	return out
}

// tallyWithin is how long the last counts may take to arrive.
const tallyWithin = 3 * time.Second

// counts compares what was counted since the last round with what was recorded since. The last counts are on their
// way when everything has ended, so it looks again until all is there.
func (c *collector) counts(ctx context.Context, load *load) ([]chaos.Count, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	all, err := chaos.Recount(ctx, conn, limits, c.putOffs)
	if err != nil {
		return nil, err
	}
	began, spans := c.s.timeline.disturbed()
	var rows []chaos.Entry
	unknown := map[chaos.Series]int{}
	for _, e := range all {
		if e.At.IsZero() {
			unknown[e.Series]++
		}
		if e.At.IsZero() && unknown[e.Series] > c.unknown[e.Series] || e.At.After(began) {
			rows = append(rows, e)
		}
	}
	c.unknown = unknown
	load.mu.Lock()
	rows = append(rows, load.repeats...)
	load.mu.Unlock()
	defer func() { c.logged = nil }()
	for deadline := time.Now().Add(tallyWithin); ; {
		now := c.s.tally.Counted()
		if err := c.logs(); err != nil { // a duplicate may have been recorded since
			return nil, err
		}
		since := map[chaos.Series]int{}
		for s, n := range now {
			since[s] = n - c.counted[s]
		}
		counts := slices.DeleteFunc(chaos.Tallies(since, slices.Concat(rows, c.logged), spans), func(n chaos.Count) bool { return slices.Contains(uncounted, n.Series) })
		exact := !slices.ContainsFunc(counts, func(n chaos.Count) bool { return n.Counted < n.Recounted })
		if exact || time.Now().After(deadline) || !wait(ctx, chaos.TallyEvery) {
			c.counted = now
			return counts, nil
		}
	}
}
