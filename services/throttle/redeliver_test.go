package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/redeliver"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/services/throttle"
	"github.com/sre-agent/sre-agent/streams"
)

// looping runs a redeliverer until the test ends.
func looping(t *testing.T, r *throttle.Redeliverer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Loop(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

func TestAfterItsStartTheThrottleAsksForWhatNeverArrived(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10_000)
	var down atomic.Bool
	down.Store(true)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil || down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if o := r.Handle(req.Context(), message(req.Header.Get("X-GitHub-Delivery"), req.Header.Get("X-GitHub-Event"), body)); o.Left() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(receiver.Close)
	forge, err := forgetest.Start(forgetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := forge.Close(); err != nil || len(forge.Violations()) > 0 {
			t.Errorf("%v, %q", err, forge.Violations())
		}
	})
	hook := forge.AddHook(forgetest.Hook{Owner: "acme", Name: "api", URL: receiver.URL, Tokens: []string{"token"}})
	for n := range 3 {
		forge.Deliver(t.Context(), hook, fmt.Sprint("d", n), "workflow_run", failedRun(n))
	}
	r.Handle(t.Context(), message("d1", "workflow_run", failedRun(1))) // the answer to this one got lost
	down.Store(false)

	hooks, err := redeliver.GitHub(forge.APIURL(), "token", "", nil, []config.HookAddress{{Kind: "repo", Path: "acme/api", ID: hook}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	round := &redeliver.Round{
		Hooks: hooks, Records: r.st, Limits: redeliver.DefaultLimits(), Now: time.Now,
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	lock := lease.NewLock(testenv.Redis(t), "test:")
	for range 2 { // two throttles start together
		looping(t, &throttle.Redeliverer{
			Round: round.Run, Claim: lock, Log: r.tel.Log, Interval: time.Hour, Soon: time.Minute, Now: time.Now,
		})
	}
	testenv.Eventually(t, 20*time.Second, func() bool {
		counts, err := r.st.DeliveryCounts(t.Context())
		return err == nil && counts["run"] == 3 && forge.Attempts(hook, "d0") == 2 && forge.Attempts(hook, "d2") == 2
	})
	if n := len(forge.Requests()); n != 2 || forge.Attempts(hook, "d1") != 1 {
		t.Errorf("%d requests, d1 was attempted %d times", n, forge.Attempts(hook, "d1"))
	}
}

func TestARoundThatFailedIsTriedAgainSoonAndOneThatWasRefusedLater(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err    error
		rounds int32
	}{
		"an outage":         {&httpapi.RetryError{Op: "GET", Message: "status 502"}, 3},
		"a refused token":   {errors.New("unauthorized"), 1},
		"a round that went": {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rounds atomic.Int32
			looping(t, &throttle.Redeliverer{
				Round: func(_ context.Context, since time.Time) []redeliver.Report {
					if age := time.Since(since); age < redeliver.Window || age > redeliver.Window+time.Minute {
						t.Errorf("looked back %s", age)
					}
					if rounds.Add(1) == 3 {
						return nil
					}
					return []redeliver.Report{{Provider: "github", Hook: "app", Err: tc.err}}
				},
				Claim: lease.NewLock(testenv.Redis(t), "test:"), Log: slog.New(slog.DiscardHandler), Interval: time.Hour, Soon: 50 * time.Millisecond, Now: time.Now,
			})
			testenv.Eventually(t, 10*time.Second, func() bool { return rounds.Load() == tc.rounds })
		})
	}
}

// broken is a Redis that is away at first.
type broken struct {
	*lease.Lock
	away atomic.Int32
}

func (b *broken) Acquire(ctx context.Context, key, token string, ttl time.Duration) (bool, error) {
	if b.away.Add(-1) >= 0 {
		return false, streams.ErrUnavailable
	}
	return b.Lock.Acquire(ctx, key, token, ttl)
}

func TestWithoutTheLockNobodyIsAsked(t *testing.T) {
	t.Parallel()
	claim := &broken{Lock: lease.NewLock(testenv.Redis(t), "test:")}
	claim.away.Store(2)
	var early atomic.Bool
	done := make(chan struct{}, 1)
	looping(t, &throttle.Redeliverer{
		Round: func(context.Context, time.Time) []redeliver.Report {
			early.Store(claim.away.Load() >= 0)
			done <- struct{}{}
			return nil
		},
		Claim: claim, Log: slog.New(slog.DiscardHandler), Interval: time.Hour, Soon: 20 * time.Millisecond, Now: time.Now,
	})
	<-done
	if early.Load() {
		t.Error("a round without the lock")
	}
}
