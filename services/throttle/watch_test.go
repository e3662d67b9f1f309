package throttle_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/services/throttle"
	"github.com/sre-agent/sre-agent/streams"
)

// lags is a stream with one consumer, or an error.
type lags struct{ err error }

func (l lags) Lags(context.Context) ([]streams.Lag, error) {
	return []streams.Lag{
		{Stream: "RUNS", Messages: 9, Bytes: 100, MaxBytes: 1000, Consumer: "runner", Pending: 5, AckPending: 4, Redelivered: 3},
		{Stream: streams.DeadStream, Messages: 2},
	}, l.err
}

func TestTheWatchShowsRunsWhereItLeadsAndStreamsEverywhere(t *testing.T) {
	a := newAuditing(t)
	a.makeRuns(3)
	var leads atomic.Bool
	leads.Store(true)
	w := &throttle.Watch{Store: a.st, Streams: lags{}, Board: a.tel.Board, Log: a.tel.Log, Depends: map[string]func(context.Context) error{
		"here": func(context.Context) error { return nil }, "away": func(context.Context) error { return errors.New("away") },
	}}
	watching := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.Loop(ctx, leads.Load) }()
		return func() { cancel(); <-ended }
	}
	stop := watching()
	testenv.Eventually(t, 10*time.Second, func() bool { return a.tel.Gauge(telemetry.DependencyUp, "here") == 1 })
	stop()
	for _, want := range []struct {
		gauge, label string
		value        float64
	}{
		{telemetry.Runs, "waiting", 3},
		{telemetry.Runs, "running", 0},
		{telemetry.RunsWaiting, "new", 3},
		{telemetry.LeasesOverdue, "", 0},
		{telemetry.ConsumerPending, "runner", 5},
		{telemetry.ConsumerAckPending, "runner", 4},
		{telemetry.ConsumerRedelivered, "runner", 3},
		{telemetry.StreamPending, "RUNS", 9},
		{telemetry.StreamBytes, "RUNS", 100},
		{telemetry.StreamMaxBytes, "RUNS", 1000},
		{telemetry.DeadLetters, "", 2},
		{telemetry.DependencyUp, "away", 0},
	} {
		if got := a.tel.Gauge(want.gauge, want.label); got != want.value {
			t.Errorf("%s{%s} is %v, want %v", want.gauge, want.label, got, want.value)
		}
	}
	leads.Store(false)
	w.Streams = lags{errors.New("NATS is away")}
	stop = watching()
	testenv.Eventually(t, 10*time.Second, func() bool { return a.tel.Gauge(telemetry.Runs, "waiting") == 0 })
	stop()
	if got := a.tel.Gauge(telemetry.ConsumerPending, "runner"); got != 5 {
		t.Errorf("what was shown of the streams is gone at once: %v", got)
	}
}
