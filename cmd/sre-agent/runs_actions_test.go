package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

func TestRunsAreCancelledAndTriedAgainWithAReason(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	environ["DATABASE_URL"] = records(t)
	woken := make(chan struct{}, 10)
	stop, err := bus.OnWake(func() { woken <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if _, err := bus.JetStream().AccountInfo(t.Context()); err != nil { // the subscription is there before anything else is asked
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"without a reason", []string{"cancel", "1", "--yes"}, 2, "", "--why is required"},
		{"without a word that it is meant", []string{"cancel", "1", "--why", "x"}, 2, "", "add --yes"},
		{"a reason of two lines", []string{"cancel", "1", "--why", "x\ny", "--yes"}, 2, "", "--why must be one line"},
		{"a reason that deceives", []string{"cancel", "1", "--why", "x\x1b[2J", "--yes"}, 2, "", "--why must be one line"},
		{"a reason without end", []string{"cancel", "1", "--why", strings.Repeat("x", 501), "--yes"}, 2, "", "at most 500"},
		{"a name that deceives", []string{"cancel", "1", "--why", "x", "--by", "\u202e", "--yes"}, 2, "", "--by must be one line"},
		{"no run's number", []string{"cancel", "x", "--why", "x", "--yes"}, 2, "", "is not a run's number"},
		{"a run that there is not", []string{"cancel", "99", "--why", "x", "--yes"}, 1, "", "there is no run 99"},
		{"what it would be", []string{"cancel", "1", "--dry-run"}, 0, "would be done: cancel of run 1 of acme/hello, which is waiting (rate_limited)\n", ""},
		{"what it would be of none", []string{"cancel", "99", "--dry-run"}, 1, "", "there is no run 99"},
		{"cancel", []string{"cancel", "1", "--why", "not now", "--yes"}, 0, "run 1: cancelled (cancelled), was waiting (rate_limited)\n", ""},
		{"cancel again", []string{"cancel", "1", "--why", "not now", "--yes"}, 1, "", "(ended)"},
		{"unblock what is not blocked", []string{"unblock", "1", "--why", "x", "--yes"}, 1, "", "(not_blocked)"},
		{"retry", []string{"retry", "1", "--why", "now", "--by", "ada", "--yes"}, 0, "run 1: waiting (new), was cancelled (cancelled)\n", ""},
		{"retry what has its pull request", []string{"retry", "2", "--why", "x", "--yes"}, 1, "", "(published)"},
	} {
		got := sreAgent(t, environ, append([]string{"runs"}, tc.args...)...)
		t.Log(tc.name)
		got.want(t, tc.code, tc.stdout, tc.stderr)
		wantNothingDeceiving(t, got)
	}
	for range 2 {
		<-woken
	}
	s, err := bus.JetStream().Stream(t.Context(), streams.Events)
	if err != nil {
		t.Fatal(err)
	}
	for seq, want := range map[uint64]string{1: "events.run.cancel.github.acme.hello ben not now", 2: "events.run.retry.github.acme.hello ada now"} {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Actor, Why string
			RunID      int `json:"run_id"`
		}
		if err := json.Unmarshal(m.Data, &e); err != nil || e.RunID != 1 || m.Subject+" "+e.Actor+" "+e.Why != want {
			t.Errorf("recorded as %s %s, want %s", m.Subject, m.Data, want)
		}
	}
	wantMessages(t, bus, streams.Events, 2)
	show := sreAgent(t, environ, "runs", "show", "1")
	show.want(t, 0, "cancel       by ben: not now; it was waiting (rate_limited)\n", "")
	show.want(t, 0, "retry        by ada: now; it was cancelled (cancelled)\n", "")
	var v historyView
	if err := json.Unmarshal([]byte(sreAgent(t, environ, "runs", "show", "1", "--json").stdout), &v); err != nil || len(v.Actions) != 2 || v.Actions[1].Who != "ada" {
		t.Errorf("%+v, %v", v.Actions, err)
	}
}

func TestAnActionIsDoneEvenWhenNobodyCanBeTold(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"DATABASE_URL": records(t), "USER": "ben"}
	sreAgent(t, environ, "runs", "cancel", "1", "--why", "x", "--yes").want(t, 0, "run 1: cancelled", "the services are not told at once: NATS_URL is not set")
	environ["NATS_URL"] = "nats://127.0.0.1:1"
	sreAgent(t, environ, "runs", "retry", "1", "--why", "x", "--yes").want(t, 0, "run 1: waiting", "the services are not told at once: NATS does not answer")
}

func TestABlockedRunIsUnblocked(t *testing.T) {
	t.Parallel()
	environ, _ := natsWithStreams(t)
	environ["DATABASE_URL"] = testenv.PostgresWithSchema(t, migrate)
	st, err := store.Open(t.Context(), environ["DATABASE_URL"], store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	id := create(t, st, "a", store.Start{Reason: "rate_limited", Delay: time.Hour})
	_, err = st.Pool().Exec(t.Context(), "update runs set state = 'blocked', reason = 'max_attempts', not_before = null, ended_at = now() where id = $1", id)
	if err != nil {
		t.Fatal(err)
	}
	sreAgent(t, environ, "runs", "unblock", "1", "--why", "the registry is back", "--yes").want(t, 0, "run 1: waiting (new), was blocked (max_attempts)\n", "")
}
