package throttle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/services/throttle"
	"github.com/sre-agent/sre-agent/streams"
)

// rig is the throttle on a real store and a real Redis, with a bell that remembers.
type rig struct {
	*throttle.Intake
	st   *store.Store
	tel  *telemetry.Test
	bell *bell
}

type ring struct {
	kind  string
	run   int64
	rings int32
}

type bell struct {
	mu     sync.Mutex
	rings  []ring
	events []streams.Event
	broken bool
}

func (b *bell) Ring(_ context.Context, kind, _ string, runID, _ int64, rings int32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return streams.ErrUnavailable
	}
	b.rings = append(b.rings, ring{kind, runID, rings})
	return nil
}

func (b *bell) Emit(_ context.Context, e streams.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

func (b *bell) rung() []ring {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]ring(nil), b.rings...)
}

func newRig(t *testing.T, perMinute int) *rig {
	t.Helper()
	st, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, url)
		return err
	}), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	r := &rig{st: st, tel: telemetry.NewTest(), bell: &bell{}}
	r.Intake = &throttle.Intake{
		Store: st, Rate: lease.NewRate(testenv.Redis(t), "rate:"), Events: r.bell, Counters: r.tel.Counters, Log: r.tel.Log,
		PerMinute: perMinute, Wake: func() {}, AgentEmail: "Bot@agent.example",
	}
	return r
}

var limits = run.Limits{MaxAttempts: 3, BaseBackoff: time.Minute, MaxBackoff: time.Hour, Cooldown: time.Minute, PerRepository: 2}

// loop runs a scheduler until the test ends.
func (r *rig) loop(t *testing.T, silence time.Duration) *throttle.Scheduler {
	t.Helper()
	s := throttle.NewScheduler(throttle.Scheduler{
		Store: r.st, Bell: r.bell, Counters: r.tel.Counters, Log: r.tel.Log, Limits: limits, Silence: silence, Interval: 50 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Loop(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return s
}

func message(id, event string, body []byte) *streams.Message {
	return &streams.Message{
		ID: "github-" + id, Type: streams.TypeDelivery, Time: time.Now(), Body: body,
		Header: nats.Header{
			streams.HdrProvider: {"github"}, streams.HdrDeliveryID: {id}, streams.HdrEvent: {event},
		},
	}
}

func failedRun(n int) []byte {
	return githubtest.FailedRun(githubtest.Params{SHA: fmt.Sprintf("%040x", n), RunID: int64(n + 1)})
}

func TestAForksFailureIsTakenInWhereTheOperatorSaysSo(t *testing.T) {
	r := newRig(t, 30)
	r.Forks = true
	fork := githubtest.FailedRun(githubtest.Params{HeadRepository: "stranger/fork"})
	if o := r.Handle(t.Context(), message("d1", "workflow_run", fork)); o.String() != "done" {
		t.Fatal(o)
	}
	got, err := r.st.Run(t.Context(), 1)
	if err != nil || !got.Failure.FromFork() || got.State != "waiting" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEveryDeliveryEndsInExactlyOneRecordWithItsReason(t *testing.T) {
	r := newRig(t, 30)
	author := bytes.ReplaceAll(failedRun(7), []byte("octocat@github.com"), []byte("bot@agent.example"))
	fork := githubtest.FailedRun(githubtest.Params{HeadRepository: "stranger/fork"})
	own := githubtest.FailedRun(githubtest.Params{Branch: "sre-agent/ci-abc"})
	for _, tc := range []struct {
		name, event string
		body        []byte
		outcome     string
		reason      string
	}{
		{"a failure", "workflow_run", failedRun(1), "run", ""},
		{"the same failure, run again", "workflow_run", githubtest.FailedRun(githubtest.Params{SHA: fmt.Sprintf("%040x", 1), RunID: 99, Attempt: 2}), "coalesced", ""},
		{"a success", "workflow_run", githubtest.Example(githubtest.WorkflowRunSuccess), "ignored", "success"},
		{"a push", "push", githubtest.Example(githubtest.Push), "ignored", "event_not_used"},
		{"a ping", "ping", githubtest.Example(githubtest.Ping), "ignored", "ping"},
		{"an event that nobody knows", "brand_new", []byte(`{"a":1}`), "ignored", "unknown_event"},
		{"a failure of our own branch", "workflow_run", own, "ignored", "own_branch"},
		{"a failure of a commit that we wrote", "workflow_run", author, "ignored", "own_author"},
		{"a failure of a fork", "workflow_run", fork, "ignored", "fork"},
		{"a body that lacks what is needed", "workflow_run", []byte(`{"action":"completed"}`), "dead", "malformed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := r.Handle(t.Context(), message(tc.name, tc.event, tc.body))
			var outcome, reason string
			err := r.st.Pool().QueryRow(t.Context(), "select outcome, reason from deliveries where delivery_id = $1", tc.name).Scan(&outcome, &reason)
			if err != nil || outcome != tc.outcome || reason != tc.reason {
				t.Errorf("recorded as %s(%s), %v; want %s(%s)", outcome, reason, err, tc.outcome, tc.reason)
			}
			if want := tc.outcome == "dead"; (o.String() != "done") != want {
				t.Errorf("outcome %s", o)
			}
		})
	}
	if n := r.tel.Count(telemetry.LoopBlocked, string(telemetry.LoopOwnBranch)); n != 1 {
		t.Errorf("%d loops counted", n)
	}
	if n := r.tel.Count(telemetry.WebhookDeduped, string(telemetry.DedupCoalesced)); n != 1 {
		t.Errorf("%d coalesced counted", n)
	}
}

func TestARedeliveredMessageChangesNothing(t *testing.T) {
	r := newRig(t, 30)
	for range 3 {
		if o := r.Handle(t.Context(), message("d1", "workflow_run", failedRun(1))); o.String() != "done" {
			t.Fatal(o)
		}
	}
	runs, err := r.st.Runs(t.Context(), "", 10)
	if err != nil || len(runs) != 1 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	if n := r.tel.Count(telemetry.WebhookDeduped, string(telemetry.DedupDeliveryID)); n != 2 {
		t.Errorf("%d duplicates counted", n)
	}
}

// TestAStormIsDelayedNotRefused: above the rate each run gets its own due time, spread exactly.
func TestAStormIsDelayedNotRefused(t *testing.T) {
	const perMinute, storm = 30, 90
	r := newRig(t, perMinute)
	for n := range storm {
		if o := r.Handle(t.Context(), message(fmt.Sprint("d", n), "workflow_run", failedRun(n))); o.String() != "done" {
			t.Fatal(o)
		}
	}
	runs, err := r.st.Runs(t.Context(), "waiting", 200)
	if err != nil || len(runs) != storm {
		t.Fatalf("%d runs wait, %v", len(runs), err)
	}
	delayed, latest := 0, time.Duration(0)
	for _, got := range runs {
		if got.Reason == run.WaitRateLimited {
			delayed++
			latest = max(latest, got.NotBefore.Sub(got.CreatedAt))
		}
	}
	if delayed < storm-perMinute-5 || latest < 90*time.Second || latest > 125*time.Second {
		t.Errorf("%d of %d delayed, the last one by %v", delayed, storm, latest)
	}
	if n := r.tel.Count(telemetry.Throttled, string(telemetry.ThrottleRateLimited)); n != int64(delayed) {
		t.Errorf("%d counted as throttled, %d are", n, delayed)
	}
}

func TestWithoutRedisNothingIsRecordedAndNothingIsLost(t *testing.T) {
	r := newRig(t, 30)
	r.Rate = brokenRate{}
	if o := r.Handle(t.Context(), message("d1", "workflow_run", failedRun(1))); !strings.HasPrefix(o.String(), "leave: ") {
		t.Errorf("outcome %s", o)
	}
	if counts, err := r.st.DeliveryCounts(t.Context()); err != nil || len(counts) != 0 {
		t.Errorf("records: %v, %v", counts, err)
	}
}

type brokenRate struct{}

func (brokenRate) Reserve(context.Context, string, int, int) (time.Duration, error) {
	return 0, errors.New("connection refused")
}

func TestTheSchedulerRingsDueRunsWithinTheRepositorysLimit(t *testing.T) {
	r := newRig(t, 1000)
	s := r.loop(t, time.Hour)
	r.Wake = s.Wake
	for n := range 5 {
		r.Handle(t.Context(), message(fmt.Sprint("d", n), "workflow_run", failedRun(n)))
	}
	testenv.Eventually(t, 5*time.Second, func() bool { return len(r.bell.rung()) == 2 })
	first := r.bell.rung()[0]
	got, err := r.st.Run(t.Context(), first.run)
	if err != nil {
		t.Fatal(err)
	}
	claimed, refused, err := r.st.ClaimRun(t.Context(), store.Claim{RunID: got.ID, Fence: got.Fence, Holder: "h", TTL: time.Minute, Limits: limits})
	if err != nil || refused != "" {
		t.Fatal(refused, err)
	}
	if err := r.st.EndRun(t.Context(), claimed.ID, claimed.Fence, store.End{State: run.Declined, Reason: "no_fixer"}); err != nil {
		t.Fatal(err)
	}
	s.Wake()
	testenv.Eventually(t, 5*time.Second, func() bool { return len(r.bell.rung()) == 3 })
}

func TestADoorbellThatWasLostIsRungAgain(t *testing.T) {
	r := newRig(t, 1000)
	r.bell.broken = true
	r.Handle(t.Context(), message("d1", "workflow_run", failedRun(1)))
	s := r.loop(t, 100*time.Millisecond)
	testenv.Eventually(t, 5*time.Second, func() bool {
		runs, err := r.st.Runs(t.Context(), "ready", 10)
		return err == nil && len(runs) == 1
	})
	r.bell.mu.Lock()
	r.bell.broken = false
	r.bell.mu.Unlock()
	s.Wake()
	testenv.Eventually(t, 5*time.Second, func() bool { return len(r.bell.rung()) >= 2 })
	rings := r.bell.rung()
	if rings[0].rings == rings[1].rings {
		t.Error("two doorbells have one id: the stream would drop the second")
	}
}

func TestARunWhoseHolderIsGoneIsTakenBack(t *testing.T) {
	r := newRig(t, 1000)
	r.Handle(t.Context(), message("d1", "workflow_run", failedRun(1)))
	if _, err := r.st.RingDue(t.Context(), 2, 10); err != nil {
		t.Fatal(err)
	}
	if _, refused, err := r.st.ClaimRun(t.Context(), store.Claim{RunID: 1, Holder: "h", TTL: 100 * time.Millisecond, Limits: limits}); err != nil || refused != "" {
		t.Fatal(refused, err)
	}
	r.loop(t, time.Hour)
	testenv.Eventually(t, 5*time.Second, func() bool {
		got, err := r.st.Run(t.Context(), 1)
		return err == nil && got.State == "waiting" && (got.Reason == run.WaitBackoff || got.Reason == run.WaitCooldown)
	})
	testenv.Eventually(t, 5*time.Second, func() bool { return r.tel.Count(telemetry.Retry, string(telemetry.RetryCrash)) == 1 })
}

// TestTheSchedulerWakesWhenSomethingFallsDue: nobody wakes it, and its interval is long.
func TestTheSchedulerWakesWhenSomethingFallsDue(t *testing.T) {
	r := newRig(t, 1000)
	const delay = 700 * time.Millisecond
	for n := range 2 {
		r.Handle(t.Context(), message(fmt.Sprint("d", n), "workflow_run", failedRun(n)))
	}
	for n, d := range []time.Duration{2 * delay, delay} {
		if _, err := r.st.Pool().Exec(t.Context(), "update runs set not_before = created_at + make_interval(secs => $2) where id = $1", n+1, d.Seconds()); err != nil {
			t.Fatal(err)
		}
	}
	s := throttle.NewScheduler(throttle.Scheduler{
		Store: r.st, Bell: r.bell, Counters: r.tel.Counters, Log: r.tel.Log, Limits: limits, Silence: time.Hour, Interval: time.Hour,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Loop(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	testenv.Eventually(t, 10*time.Second, func() bool { return len(r.bell.rung()) == 2 })
	for id := int64(1); id <= 2; id++ {
		got, err := r.st.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		waited, want := got.RungAt.Sub(got.CreatedAt), time.Duration(3-id)*delay
		if waited < want || waited > want+5*time.Second {
			t.Errorf("run %d was due after %v and rung after %v", id, want, waited)
		}
	}
}
