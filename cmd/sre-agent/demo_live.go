package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/streams"
)

// liveView prints one line for each event of the services.
type liveView struct {
	term terminal
	nc   *nats.Conn
	js   jetstream.JetStream

	mu    sync.Mutex
	began time.Time
	ended chan struct{}
	once  sync.Once
}

func newLiveView(t terminal, url string) (*liveView, error) {
	nc, err := nats.Connect(url, nats.Name("sre-agent demo"))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	v := &liveView{term: t, nc: nc, began: time.Now(), ended: make(chan struct{})}
	if v.js, err = jetstream.New(nc); err == nil {
		_, err = nc.Subscribe("events.>", v.see)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	return v, nil
}

func (v *liveView) close() { v.nc.Close() }

// begin sets the time that the lines count from.
func (v *liveView) begin(at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.began = at
}

func (v *liveView) see(m *nats.Msg) {
	var e streams.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return // events only tell; what decides is the database
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.term.printf("%s\n", v.term.eventLine(e, v.began))
	if state, ok := strings.CutPrefix(e.Kind, "run."); ok && run.State(state).Ended() {
		v.once.Do(func() { close(v.ended) })
	}
}

// awaitEnd waits for the event of the run's end, which comes a moment after the row: it may also have been lost.
func (v *liveView) awaitEnd(most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-v.ended:
	case <-timer.C:
	}
}

// workersReady waits until every service asks its consumer for work.
func (v *liveView) workersReady(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("the services were not ready within %s", within))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, c := range []struct{ stream, name string }{
		{streams.Deliveries, streams.ThrottleConsumer}, {streams.Runs, streams.RunnerConsumer}, {streams.Fixes, streams.PublisherConsumer},
	} {
		for !v.waiting(ctx, c.stream, c.name) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return errors.Join(context.Cause(ctx))
			}
		}
	}
	return nil
}

func (v *liveView) waiting(ctx context.Context, stream, consumer string) bool {
	c, err := v.js.Consumer(ctx, stream, consumer)
	return err == nil && c.CachedInfo().NumWaiting > 0
}

// eventLine is one event as a line: when, which service, what.
func (t terminal) eventLine(e streams.Event, began time.Time) string {
	who, what := tellEvent(e)
	switch {
	case strings.HasPrefix(e.Kind, "stage.") && e.Detail != "pass", e.Kind == "run.declined", e.Kind == "run.blocked":
		what = t.red(what)
	case e.Kind == "run.published", e.Kind == "run.fixed":
		what = t.green(what)
	}
	elapsed := max(0, e.Time.Sub(began).Seconds())
	return fmt.Sprintf("  %s  %s %s", t.dim(fmt.Sprintf("%6.2fs", elapsed)), t.cyan(fmt.Sprintf("%-9s", who)), what)
}

// tellEvent says in words which service did what.
func tellEvent(e streams.Event) (who, what string) {
	what = tail(withReason(e.Kind, e.Reason), e.Detail)
	area, name, _ := strings.Cut(e.Kind, ".")
	switch area {
	case "delivery":
		who, what = tellDelivery(e, name)
	case "stage":
		who = "runner"
		what = fmt.Sprintf("%-13s %s, %.2fs", e.Stage, withReason(e.Detail, e.Reason), e.Seconds)
	case "fix":
		who, what = "throttle", fmt.Sprintf("the fix of run %d is rung for", e.RunID)
	case "publication", "pull_request", "command":
		who = "publisher"
	case "run":
		who, what = tellRun(e, name)
	}
	return who, clip(visible(what), shownWidth)
}

func tellDelivery(e streams.Event, outcome string) (who, what string) {
	name := fmt.Sprintf("%s %s", e.Detail, e.DeliveryID)
	switch outcome {
	case "accepted":
		return "ingest", name + ": accepted"
	case "duplicate":
		return "ingest", name + ": duplicate, ignored"
	case "run":
		return "throttle", fmt.Sprintf("%s: recorded, run %d is new", name, e.RunID)
	case "coalesced":
		return "throttle", fmt.Sprintf("%s: recorded, belongs to run %d", name, e.RunID)
	default:
		return "throttle", name + ": recorded, " + withReason(outcome, e.Reason)
	}
}

func tellRun(e streams.Event, state string) (who, what string) {
	switch run.State(state) {
	case run.Ready:
		return "throttle", fmt.Sprintf("run %d may start", e.RunID)
	case run.Running:
		return "runner", fmt.Sprintf("run %d: attempt %d begins", e.RunID, e.Attempt)
	case run.Fixed:
		return "runner", tail(fmt.Sprintf("run %d: a verified fix", e.RunID), e.Detail)
	case run.Published:
		return "publisher", tail(fmt.Sprintf("run %d: published", e.RunID), e.Detail)
	default:
		return "", tail(fmt.Sprintf("run %d: %s", e.RunID, withReason(state, e.Reason)), e.Detail)
	}
}

func tail(text, detail string) string {
	if detail == "" {
		return text
	}
	return text + ": " + detail
}
