package throttle_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sre-agent/sre-agent/internal/store"
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
	testenv.Eventually(t, 10*time.Second, func() bool {
		return a.tel.Gauge(telemetry.DependencyUp, "here") == 1 && a.tel.Gauge(telemetry.Runs, "waiting") == 3 && a.tel.Gauge(telemetry.DeadLetters, "") == 2
	})
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
	testenv.Eventually(t, 10*time.Second, func() bool {
		return a.tel.Gauge(telemetry.Runs, "waiting") == 0 && strings.Contains(a.tel.Logs(), "NATS is away")
	})
	stop()
	if got := a.tel.Gauge(telemetry.ConsumerPending, "runner"); got != 5 {
		t.Errorf("what was shown of the streams is gone at once: %v", got)
	}
}

// slow is a store whose counting takes its time, and streams that never answer.
type slow struct{ counted int }

func (s *slow) OpenRuns(ctx context.Context) ([]store.OpenRuns, error) {
	s.counted++
	select {
	case <-ctx.Done():
	case <-time.After(2 * time.Second):
	}
	return []store.OpenRuns{{State: "waiting", Reason: "new", Count: 7}}, nil
}

func (*slow) OldestDue(context.Context) (time.Duration, error) { return 0, nil }

func (*slow) Lags(ctx context.Context) ([]streams.Lag, error) { return nil, hang(ctx) }

func hang(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(time.Hour):
	}
	return errors.New("no answer")
}

func TestWhatHangsKeepsNothingElseFromBeingShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, s := telemetry.NewTest(), &slow{}
		w := &throttle.Watch{Store: s, Streams: s, Board: tel.Board, Log: tel.Log, Depends: map[string]func(context.Context) error{
			"here": func(context.Context) error { return nil }, "hanging": hang, "also hanging": hang,
		}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Loop(ctx, func() bool { return true })
		<-time.After(20 * time.Second)
		for at := 20 * time.Second; at < 20*time.Minute; at += 5 * time.Second {
			if up, runs := tel.Gauge(telemetry.DependencyUp, "here"), tel.Gauge(telemetry.Runs, "waiting"); up != 1 || runs != 7 {
				t.Fatalf("after %v the dependency that answers is at %v, and %v runs wait", at, up, runs)
			}
			<-time.After(5 * time.Second)
		}
		if s.counted > 12 { // two seconds in a hundred
			t.Errorf("runs were counted %d times in 20 minutes", s.counted)
		}
	})
}
