package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/services/throttle"
	"github.com/sre-agent/sre-agent/streams"
)

// ledger is a stream whose consumer is done with everything, and its dead letters.
type ledger struct {
	ids     []string
	letters []streams.Letter
}

func (l *ledger) ScanDone(_ context.Context, _, _ string, from uint64, n int, visit func(streams.Kept) error) (next, last uint64, err error) {
	for next = from; next <= uint64(len(l.ids)) && n > 0; next, n = next+1, n-1 {
		h := nats.Header{streams.HdrProvider: {"github"}, streams.HdrDeliveryID: {l.ids[next-1]}}
		if err := visit(streams.Kept{Sequence: next, Header: h}); err != nil {
			return next, uint64(len(l.ids)), err
		}
	}
	return next, uint64(len(l.ids)), nil
}

func (l *ledger) Letters(_ context.Context, visit func(streams.Letter) (bool, error)) error {
	for _, letter := range l.letters {
		if more, err := visit(letter); err != nil || !more {
			return err
		}
	}
	return nil
}

// auditing is an audit whose rounds a test asks for one by one: it leads until the next round is asked for.
type auditing struct {
	*rig
	*throttle.Audit
	ledger *ledger
	t      *testing.T
}

func newAuditing(t *testing.T) *auditing {
	r, l := newRig(t, 10_000), &ledger{}
	return &auditing{rig: r, ledger: l, t: t, Audit: &throttle.Audit{
		Stream: l, Store: r.st, Board: r.tel.Board, Counters: r.tel.Counters, Log: r.tel.Log, AgentEmail: "Bot@agent.example", Interval: time.Nanosecond,
	}}
}

var errEnough = errors.New("enough")

// round runs one round and returns how often each promise is found broken, and how often that was new.
func (a *auditing) round() (standing, counted map[telemetry.Promise]int64) {
	a.t.Helper()
	asked := 0
	err := a.Loop(a.t.Context(), func(context.Context) error {
		if asked++; asked > 1 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		a.t.Fatal(err)
	}
	standing, counted = map[telemetry.Promise]int64{}, map[telemetry.Promise]int64{}
	for _, p := range telemetry.Promises() {
		standing[p] = int64(a.tel.Gauge(telemetry.AuditFindings, string(p)))
		counted[p] = a.tel.Count(telemetry.PromisesBroken, string(p))
	}
	return standing, counted
}

func (a *auditing) want(when string, p telemetry.Promise, standing, counted int64) {
	a.t.Helper()
	s, c := a.round()
	for _, q := range telemetry.Promises() {
		wantS, wantC := int64(0), c[q]
		if q == p {
			wantS, wantC = standing, counted
		}
		if s[q] != wantS || c[q] != wantC {
			a.t.Errorf("%s: %s stands %d times and was counted %d times, want %d and %d", when, q, s[q], c[q], wantS, wantC)
		}
	}
}

func (a *auditing) exec(sql string, args ...any) {
	a.t.Helper()
	if _, err := a.st.Pool().Exec(a.t.Context(), sql, args...); err != nil {
		a.t.Fatal(err)
	}
}

func TestTheAuditFindsADeliveryWithoutARecordOnceTwoRoundsHaveLooked(t *testing.T) {
	a := newAuditing(t)
	for n := range 30 {
		id := fmt.Sprint("d", n)
		a.ledger.ids = append(a.ledger.ids, id)
		a.Handle(t.Context(), message(id, "workflow_run", failedRun(n)))
	}
	a.want("all recorded", telemetry.NothingLost, 0, 0)
	a.ledger.ids = append(a.ledger.ids, "late", "dead", "lost")
	a.ledger.letters = []streams.Letter{{Stream: streams.Runs, OriginSequence: 33}, {Stream: streams.Deliveries, OriginSequence: 32}}
	a.want("one round", telemetry.NothingLost, 0, 0)
	a.Handle(t.Context(), message("late", "workflow_run", failedRun(99))) // the reconciler handed it in again
	a.want("two rounds", telemetry.NothingLost, 1, 1)
	a.want("three rounds", telemetry.NothingLost, 1, 1)
	if !strings.Contains(a.tel.Logs(), `"promise":"lost_deliveries","provider":"github","delivery_id":"lost"`) {
		t.Errorf("the log does not say which: %s", a.tel.Logs())
	}
	// Another process that comes to lead knows nothing, and begins at what is not cleared up.
	again := *a
	again.Audit = &throttle.Audit{Stream: a.ledger, Store: a.st, Board: a.tel.Board, Counters: a.tel.Counters, Log: a.tel.Log, Interval: time.Nanosecond}
	again.want("its first round", telemetry.NothingLost, 0, 1)
	again.want("its second round", telemetry.NothingLost, 1, 2)
	a.Handle(t.Context(), message("lost", "workflow_run", failedRun(98)))
	again.want("found again", telemetry.NothingLost, 0, 2)
}

// runs makes n runs and returns their ids.
func (a *auditing) makeRuns(n int) (ids []int64) {
	a.t.Helper()
	for i := range n {
		f := ci.Failure{Provider: "github", Repository: ci.Repository{ID: "1", Owner: "acme", Name: "hello"}, Branch: "main", Commit: fmt.Sprintf("%040x", 1000+i), Workflow: "ci"}
		rec, err := a.st.RecordFailure(a.t.Context(), store.Delivery{Provider: "github", ID: fmt.Sprint("r", i), Event: "x", BodySHA256: fmt.Sprintf("%064x", i), ReceivedAt: time.Now()}, f, store.Start{Reason: "new"}, "")
		if err != nil {
			a.t.Fatal(err)
		}
		ids = append(ids, rec.RunID)
	}
	return ids
}

func TestTheAuditFindsRunsThatBreakAPromise(t *testing.T) {
	a := newAuditing(t)
	ids := a.makeRuns(4)
	a.want("as it should be", telemetry.NoSelfTrigger, 0, 0)

	a.exec(`update runs set failure = jsonb_set(failure, '{branch}', '"sre-agent/ci-1"') where id = $1`, ids[0])
	a.exec(`update runs set failure = jsonb_set(failure, '{commit_author}', '"bot@AGENT.example"') where id = $1`, ids[1])
	a.want("our own branch and our own commit", telemetry.NoSelfTrigger, 2, 2)
	a.want("the same once more", telemetry.NoSelfTrigger, 2, 2)
	a.exec(`update runs set failure = jsonb_set(jsonb_set(failure, '{branch}', '"main"'), '{commit_author}', '""')`)
	a.want("put right", telemetry.NoSelfTrigger, 0, 2)

	a.exec(`update runs set fence = 2 where id = $1`, ids[2])
	a.exec(`insert into attempts (run_id, fence, number, holder, started_at, ended_at, outcome) values ($1, 1, 1, 'a', now() - interval '9 min', now() - interval '5 min', 'crashed')`, ids[2])
	a.exec(`insert into attempts (run_id, fence, number, holder, started_at, ended_at, outcome) values ($1, 2, 2, 'b', now() - interval '5 min', now(), 'fixed')`, ids[2])
	a.want("one attempt after the other", telemetry.FencesHold, 0, 0)
	a.exec(`update attempts set started_at = now() - interval '6 min' where run_id = $1 and fence = 2`, ids[2])
	a.want("two at once", telemetry.FencesHold, 1, 1)
	a.exec(`delete from attempts where fence = 1`)
	a.exec(`update runs set fence = 1 where id = $1`, ids[2])
	a.want("a fence that was never issued", telemetry.FencesHold, 1, 1)
	a.exec(`update runs set fence = 2 where id = $1`, ids[2])

	for generation := 1; generation <= 2; generation++ {
		a.exec(`insert into fixes (run_id, generation, fence, base_commit, diff, digest, fixer, title, evidence)
			values ($1, $2, 2, repeat('a', 40), 'x', 'sha256:' || encode(sha256('x'), 'hex'), 'f', 't', '{}')`, ids[2], generation)
		a.exec(`insert into publications (run_id, generation, fingerprint, digest, branch, base_branch, commit_id, state, pr_number, pr_url, pr_state, repository_id)
			values ($1, $2::int, '', 'd', 'sre-agent/x', 'main', repeat('b', 40), 'opened', $2::int, 'https://forge.example/' || $2::int, 'open', (select repository_id from runs where id = $1))`, ids[2], generation)
	}
	a.want("two open pull requests of one run", telemetry.OnePullRequest, 1, 1)
	a.exec(`update publications set pr_state = 'closed' where generation = 1`)
	a.want("one of them closed", telemetry.OnePullRequest, 0, 1)
}

func TestOneOfSeveralThrottlesLeads(t *testing.T) {
	r := newRig(t, 10)
	leading := make(chan int, 2)
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	for n := range 2 {
		l := &throttle.Leader{Store: r.st, Log: r.tel.Log}
		go func() {
			l.Loop(ctx, func(ctx context.Context, holds func(context.Context) error) error {
				leading <- n
				<-release
				return holds(ctx)
			})
			ended <- struct{}{}
		}()
	}
	<-leading
	lead, err := r.st.TryLead(t.Context())
	if err != nil || lead != nil || len(leading) > 0 {
		t.Errorf("a second one leads: %v, %v", lead, err)
	}
	cancel()
	close(release)
	<-ended
	<-ended
	testenv.Eventually(t, 10*time.Second, func() bool {
		lead, err := r.st.TryLead(t.Context())
		if lead != nil {
			lead.Release()
		}
		return err == nil && lead != nil
	})
}
