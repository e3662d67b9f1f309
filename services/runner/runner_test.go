package runner_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/services/runner"
	"github.com/sre-agent/sre-agent/streams"
)

var limits = run.Limits{MaxAttempts: 3, BaseBackoff: time.Millisecond, MaxBackoff: time.Millisecond, Cooldown: time.Millisecond, PerRepository: 2}

// rig is the runner on a real store and a real Redis; the pipeline is the test's.
type rig struct {
	t   *testing.T
	st  *store.Store
	rdb *redis.Client
	tel *telemetry.Test
	ttl time.Duration
}

type pipeline func(context.Context, store.Run) runner.Result

func (p pipeline) Execute(ctx context.Context, r store.Run) runner.Result { return p(ctx, r) }

type quiet struct{}

func (quiet) Ring(context.Context, string, string, int64, int64, int32) error { return nil }
func (quiet) Emit(context.Context, streams.Event)                             {}
func (quiet) Wake()                                                           {}

func newRig(t *testing.T) *rig {
	t.Helper()
	st, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, url)
		return err
	}), store.Options{MaxConns: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	return &rig{t: t, st: st, rdb: testenv.Redis(t), tel: telemetry.NewTest(), ttl: 10 * time.Second}
}

// service is one runner process.
func (r *rig) service(p pipeline) *runner.Service {
	return &runner.Service{
		Store: r.st, Lock: lease.NewLock(r.rdb, "lock:"), Slots: lease.NewSlots(r.rdb, "slots:"), Bell: quiet{}, Pipeline: p,
		Counters: r.tel.Counters, Log: r.tel.Log, Limits: limits, Holder: "test", TTL: r.ttl,
	}
}

// rung makes a run that is rung.
func (r *rig) rung(commit int) *streams.Message {
	r.t.Helper()
	f := ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: "1", Owner: "acme", Name: "api"}, Branch: "main", BaseBranch: "main",
		Commit: fmt.Sprintf("%040x", commit), Workflow: "ci.yml", WorkflowName: "CI",
	}
	id := fmt.Sprint("d", commit)
	d := store.Delivery{Provider: "github", ID: id, Event: "workflow_run", BodySHA256: strings.TrimPrefix(patch.Digest([]byte(id)), "sha256:"), ReceivedAt: time.Now()}
	rec, err := r.st.RecordFailure(r.t.Context(), d, f, store.Start{Reason: run.WaitNew}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	r.exec("update runs set state = 'ready', rung_at = now() where id = $1", rec.RunID)
	return &streams.Message{Type: streams.TypeRun, RunID: rec.RunID}
}

func (r *rig) exec(sql string, args ...any) {
	r.t.Helper()
	if _, err := r.st.Pool().Exec(r.t.Context(), sql, args...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) state(id int64) store.Run {
	r.t.Helper()
	got, err := r.st.Run(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func declines(context.Context, store.Run) runner.Result {
	return runner.Result{State: run.Declined, Reason: "no_fixer", Explanation: "no fixer knows it"}
}

func TestAResultEndsTheRunOnce(t *testing.T) {
	r := newRig(t)
	m := r.rung(1)
	executed := 0
	s := r.service(func(ctx context.Context, got store.Run) runner.Result { executed++; return declines(ctx, got) })
	for range 3 { // the doorbell comes three times
		if o := s.Handle(t.Context(), m); o.String() != "done" {
			t.Fatal(o)
		}
	}
	got := r.state(m.RunID)
	if executed != 1 || got.State != "declined" || got.Reason != "no_fixer" || got.AttemptCount != 1 {
		t.Errorf("executed %d times: %s(%s), %d attempts", executed, got.State, got.Reason, got.AttemptCount)
	}
	if n := r.rdb.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys are left in Redis: %v", n, r.rdb.Keys(t.Context(), "*").Val())
	}
}

// A fix that had to wait is made once: the runner that is rung for it hands it back to the publisher.
func TestARunThatWasPutOffWithItsFixIsNotWorkedOnAgain(t *testing.T) {
	r := newRig(t)
	m := r.rung(1)
	executed := 0
	diff := []byte("diff")
	s := r.service(func(_ context.Context, got store.Run) runner.Result {
		executed++
		return runner.Result{State: run.Fixed, Fix: store.Fix{BaseCommit: got.Failure.Commit, Diff: diff, Digest: patch.Digest(diff), Fixer: "f", Title: "t"}}
	})
	rings := &belled{}
	s.Bell = rings
	s.Handle(t.Context(), m)
	claimed, _, err := r.st.ClaimPublication(t.Context(), m.RunID, r.state(m.RunID).Fence, "p", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.st.GiveBackPublication(t.Context(), m.RunID, claimed.Fence, store.GiveBack{Reason: run.WaitPRCap, Explanation: "5 are open"}); err != nil {
		t.Fatal(err)
	}
	r.exec("update runs set state = 'ready', rung_at = now() where id = $1 and state = 'waiting'", m.RunID)
	again := *m
	again.Fence = claimed.Fence
	s.Handle(t.Context(), &again)
	if got := r.state(m.RunID); executed != 1 || got.State != "fixed" || got.AttemptCount != 1 || rings.fixes != 2 {
		t.Errorf("worked on %d times: %s(%s), %d attempts, the publisher was rung %d times", executed, got.State, got.Reason, got.AttemptCount, rings.fixes)
	}
}

// belled counts how often the publisher was rung.
type belled struct {
	quiet
	fixes int
}

func (b *belled) Ring(_ context.Context, kind, _ string, _, _ int64, _ int32) error {
	if kind == streams.TypeFix {
		b.fixes++
	}
	return nil
}

func TestManyRunnersAtOnceNeverExceedTheLimitNorShareARun(t *testing.T) {
	r := newRig(t)
	var messages []*streams.Message
	for n := range 6 {
		messages = append(messages, r.rung(n))
	}
	var mu sync.Mutex
	now, most, perRun := 0, 0, map[int64]int{}
	work := func(ctx context.Context, got store.Run) runner.Result {
		mu.Lock()
		now++
		most = max(most, now)
		perRun[got.ID]++
		mu.Unlock()
		select {
		case <-time.After(50 * time.Millisecond): // others try meanwhile
		case <-ctx.Done():
		}
		mu.Lock()
		now--
		mu.Unlock()
		return declines(ctx, got)
	}
	var wg sync.WaitGroup
	for range 4 {
		s := r.service(work)
		wg.Go(func() {
			for _, m := range messages {
				s.Handle(t.Context(), m)
			}
		})
	}
	wg.Wait()
	if most > limits.PerRepository || most == 0 {
		t.Errorf("%d runs of one repository at once", most)
	}
	for id, n := range perRun {
		if n != 1 {
			t.Errorf("run %d was worked on %d times", id, n)
		}
	}
	for _, m := range messages {
		if got := r.state(m.RunID); got.State != "declined" && (got.State != "waiting" || got.Reason != run.WaitNoSlot) {
			t.Errorf("run %d: %s(%s)", got.ID, got.State, got.Reason)
		}
	}
}

func TestAWipedRedisDoesNotLiftTheLimit(t *testing.T) {
	r := newRig(t)
	var running atomic.Int32
	release := make(chan struct{})
	hold := func(ctx context.Context, got store.Run) runner.Result {
		running.Add(1)
		<-release
		return declines(ctx, got)
	}
	var wg sync.WaitGroup
	for n := range 2 {
		m := r.rung(n)
		wg.Go(func() { r.service(hold).Handle(context.Background(), m) })
	}
	testenv.Eventually(t, 5*time.Second, func() bool { return running.Load() == 2 })
	if err := r.rdb.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	third := r.rung(3)
	r.service(hold).Handle(t.Context(), third)
	if got := r.state(third.RunID); got.State != "waiting" || got.Reason != run.WaitNoSlot || running.Load() != 2 {
		t.Errorf("%s(%s) while %d run", got.State, got.Reason, running.Load())
	}
	close(release)
	wg.Wait()
}

func TestALostLeaseCancelsTheWorkAndWritesNothing(t *testing.T) {
	r := newRig(t)
	r.ttl = time.Second
	m := r.rung(1)
	started, cancelled := make(chan struct{}), make(chan struct{})
	s := r.service(func(ctx context.Context, got store.Run) runner.Result {
		close(started)
		<-ctx.Done()
		close(cancelled)
		return declines(ctx, got)
	})
	ended := make(chan streams.Outcome, 1)
	go func() { ended <- s.Handle(t.Context(), m) }()
	<-started
	// Somebody else takes the run over, as a sweeper and a second runner would after a long pause of this one.
	r.exec("update runs set fence = fence + 1, holder = 'other' where id = $1", m.RunID)
	select {
	case <-cancelled:
	case <-time.After(5 * time.Second):
		t.Fatal("the work goes on")
	}
	if o := <-ended; o.String() != "done" {
		t.Error(o)
	}
	if got := r.state(m.RunID); got.State != "running" || *got.Holder != "other" || got.Fence != 2 {
		t.Errorf("%s, holder %s, fence %d", got.State, *got.Holder, got.Fence)
	}
}

func TestStoppingHandsTheRunBackWithoutAnAttempt(t *testing.T) {
	r := newRig(t)
	m := r.rung(1)
	ctx, stop := context.WithCancel(t.Context())
	s := r.service(func(ctx context.Context, _ store.Run) runner.Result {
		stop()
		<-ctx.Done()
		return runner.Result{Err: ctx.Err()}
	})
	if o := s.Handle(ctx, m); o.String() != "done" {
		t.Fatal(o)
	}
	if got := r.state(m.RunID); got.State != "waiting" || got.AttemptCount != 0 || got.TransientCount != 0 {
		t.Errorf("%s(%s), %d attempts, %d transient", got.State, got.Reason, got.AttemptCount, got.TransientCount)
	}
}

func TestSomethingOutsideThatFailsBurnsNoAttemptAndIsBounded(t *testing.T) {
	r := newRig(t)
	m := r.rung(1)
	s := r.service(func(context.Context, store.Run) runner.Result {
		return runner.Result{Err: errors.New("the forge is down"), RetryAfter: time.Minute}
	})
	s.Handle(t.Context(), m)
	got := r.state(m.RunID)
	if got.State != "waiting" || got.Reason != run.WaitDependency || got.AttemptCount != 0 || time.Until(*got.NotBefore) < 50*time.Second {
		t.Errorf("%s(%s), %d attempts, due %v", got.State, got.Reason, got.AttemptCount, got.NotBefore)
	}
	r.exec("update runs set state = 'ready', transient_count = $2 where id = $1", m.RunID, run.MaxTransient)
	m.Fence = got.Fence
	s.Handle(t.Context(), m)
	if got := r.state(m.RunID); got.State != "blocked" || got.Reason != run.EndDependency || !strings.Contains(got.Explanation, "the forge is down") {
		t.Errorf("%s(%s) %s", got.State, got.Reason, got.Explanation)
	}
}

func TestForgedAndForeignDoorbellsAreRefused(t *testing.T) {
	r := newRig(t)
	m := r.rung(1)
	s := r.service(func(context.Context, store.Run) runner.Result { t.Error("executed"); return runner.Result{} })
	for name, tc := range map[string]struct {
		m    streams.Message
		done bool
	}{
		"a fence from the future": {streams.Message{Type: streams.TypeRun, RunID: m.RunID, Fence: 9}, true},
		"a run that is not there": {streams.Message{Type: streams.TypeRun, RunID: 404}, false},
		"another type of message": {streams.Message{Type: streams.TypeFix, RunID: m.RunID}, false},
	} {
		if o := s.Handle(t.Context(), &tc.m); (o.String() == "done") != tc.done {
			t.Errorf("%s: %s", name, o)
		}
	}
	if got := r.state(m.RunID); got.State != "ready" || got.AttemptCount != 0 {
		t.Errorf("%s, %d attempts", got.State, got.AttemptCount)
	}
}

func TestARedisThatForgetsUsBurnsNoAttempt(t *testing.T) {
	r := newRig(t)
	r.ttl = time.Second
	m := r.rung(1)
	s := r.service(func(ctx context.Context, _ store.Run) runner.Result {
		if err := r.rdb.FlushDB(t.Context()).Err(); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return runner.Result{Err: ctx.Err()}
	})
	if o := s.Handle(t.Context(), m); o.String() != "done" {
		t.Fatal(o)
	}
	if got := r.state(m.RunID); got.State != "waiting" || got.AttemptCount != 0 {
		t.Errorf("%s(%s), %d attempts", got.State, got.Reason, got.AttemptCount)
	}
}
