package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

// natsWithStreams starts a server with the table's streams.
func natsWithStreams(t *testing.T) (environ map[string]string, bus *streams.Bus) {
	t.Helper()
	url, _ := testenv.NATS(t)
	environ = map[string]string{"NATS_URL": url, "DELIVERIES_MAX_BYTES": "67108864", "USER": "ben"}
	sreAgent(t, environ, "streams", "apply").want(t, 0, "", "")
	bus, err := streams.Connect(streams.Options{
		Name: "test", URL: url, Log: slog.New(slog.DiscardHandler),
		Settings: streams.Settings{MaxAttempts: 3, BaseBackoff: 30 * time.Second, MaxBackoff: 10 * time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Close)
	return environ, bus
}

// die publishes a dead letter as it is, without the care that the services take.
func die(t *testing.T, bus *streams.Bus, id, reason string, body string) {
	t.Helper()
	h := nats.Header{
		streams.HdrDeadReason: {reason}, streams.HdrDeadError: {"can't be read"}, streams.HdrDeadStream: {streams.Deliveries},
		streams.HdrDeadSequence: {"1"}, streams.HdrDeadConsumer: {"throttle"}, streams.HdrProvider: {"github"}, streams.HdrDeliveryID: {id},
		"Sre-Type": {streams.TypeDelivery}, "Sre-Version": {"1"}, "Sre-Time": {"2026-01-02T03:04:05Z"},
	}
	if _, err := bus.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "dead.deliveries.github.acme.api", Header: h, Data: []byte(body)}); err != nil {
		t.Fatal(err)
	}
}

func messages(t *testing.T, bus *streams.Bus, stream string) uint64 {
	t.Helper()
	s, err := bus.JetStream().Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func wantMessages(t *testing.T, bus *streams.Bus, stream string, want uint64) {
	t.Helper()
	if n := messages(t, bus, stream); n != want {
		t.Errorf("%s has %d messages, want %d", stream, n, want)
	}
}

// wantNothingDeceiving fails when a control character would reach the terminal.
func wantNothingDeceiving(t *testing.T, o outcome) {
	t.Helper()
	for _, text := range []string{o.stdout, o.stderr} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && deceives(r) }); i >= 0 {
			t.Errorf("a control character reaches the terminal at %q", text[max(0, i-20):i+5])
		}
	}
}

func TestDeadLettersAreListedAndShown(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	sreAgent(t, environ, "dead", "list").want(t, 0, "no dead letters\n", "")
	for i := range 5 {
		die(t, bus, fmt.Sprintf("delivery-%d", i), []string{"malformed", "max_deliveries"}[i%2], `{"a":{"b":1}}`)
	}
	list := sreAgent(t, environ, "dead", "list", "--limit", "2")
	list.want(t, 0, "delivery delivery-4", "")
	list.want(t, 0, "… and 3 more\n", "")
	if lines := strings.Split(list.stdout, "\n"); !strings.HasPrefix(lines[1], "5 ") || !strings.HasPrefix(lines[2], "4 ") {
		t.Errorf("the newest is not the first:\n%s", list.stdout)
	}
	if only := sreAgent(t, environ, "dead", "list", "--reason", "malformed"); strings.Contains(only.stdout, "max_deliveries") {
		t.Errorf("--reason does not choose:\n%s", only.stdout)
	}
	sreAgent(t, environ, "dead", "list", "--reason", "none").want(t, 0, "no dead letters\n", "")
	var views []letterView
	if err := json.Unmarshal([]byte(sreAgent(t, environ, "dead", "list", "--json").stdout), &views); err != nil || len(views) != 5 {
		t.Fatalf("%v, %v", views, err)
	}
	if v := views[0]; v.ID != 5 || v.Reason != "malformed" || v.DeliveryID != "delivery-4" || v.Stream != "DELIVERIES" || v.Subject != "deliveries.github.acme.api" {
		t.Errorf("%+v", v)
	}
	show := sreAgent(t, environ, "dead", "show", "5")
	for _, want := range []string{"dead letter 5  malformed", "can't be read", "Sre-Dead-Stream: DELIVERIES", "delivery-4", "      \"b\": 1\n"} {
		show.want(t, 0, want, "")
	}
	sreAgent(t, environ, "dead", "show", "99").want(t, 1, "", "there is no dead letter 99")
	sreAgent(t, environ, "dead", "list", "--json", "--reason", "none").want(t, 0, "[]\n", "")
}

func TestAHostileDeadLetterIsHarmlessOnTheTerminal(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	h := nats.Header{}
	for _, name := range []string{
		streams.HdrDeadReason, streams.HdrDeadError, streams.HdrDeadStream, streams.HdrDeadSequence, streams.HdrDeadConsumer, streams.HdrDeadID,
		streams.HdrDeliveryID, streams.HdrProvider,
	} {
		h[name] = []string{hostile}
	}
	token := "ghp_" + strings.Repeat("a1B2c3", 6)
	body := hostile + " " + token + "\n" + strings.Repeat("line\n", 1000) + strings.Repeat("x", 1<<20)
	if _, err := bus.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "dead.\x1b[2J.github", Header: h, Data: []byte(body[:900_000])}); err != nil {
		t.Fatal(err)
	}
	// One that says it is compressed and is not, of an encoding that nobody knows, and as JSON.
	for _, m := range []*nats.Msg{
		{Header: nats.Header{"Content-Encoding": {"zstd"}}, Data: []byte("\x1b[2Jnot zstd")},
		{Header: nats.Header{"Content-Encoding": {hostile}}, Data: []byte("x")},
		{Header: nats.Header{"Sre-Body-Object": {hostile}}},
		{Data: []byte(`{"a":"` + "\u202e\u009b31m" + `","b":"\u001b[2J"}`)},
	} {
		m.Subject = "dead.deliveries.github.acme.api"
		if _, err := bus.JetStream().PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	var all []outcome
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		for _, args := range [][]string{{"dead", "show", id}, {"dead", "show", id, "--json"}, {"dead", "replay", id}} {
			all = append(all, sreAgent(t, environ, args...))
		}
	}
	all = append(all, sreAgent(t, environ, "dead", "list"), sreAgent(t, environ, "dead", "list", "--json"),
		sreAgent(t, environ, "dead", "replay", "--all", "--dry-run"), sreAgent(t, environ, "dead", "replay", "--all", "--yes"))
	for _, o := range all {
		wantNothingDeceiving(t, o)
		if strings.Contains(o.stdout, token) {
			t.Error("a token is shown")
		}
		if len(o.stdout) > 400<<10 {
			t.Errorf("%d bytes are printed", len(o.stdout))
		}
	}
	all[0].want(t, 0, "more lines", "")
	all[0].want(t, 0, "only the first 65536 bytes", "")
	all[1].want(t, 0, `"body_truncated": true`, "")
	all[2].want(t, 1, "", "can't be put back")
	all[3].want(t, 0, "the body can't be read", "")
}

func TestDeadLettersArePutBackOnce(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	for i := range 4 {
		die(t, bus, fmt.Sprintf("delivery-%d", i), []string{"malformed", "max_deliveries"}[i%2], "{}")
	}
	dry := sreAgent(t, environ, "dead", "replay", "--all", "--reason", "malformed", "--dry-run")
	dry.want(t, 0, "would be put back: 2 dead letters\n", "")
	dry.want(t, 0, "delivery-2", "")
	wantMessages(t, bus, streams.DeadStream, 4)
	wantMessages(t, bus, streams.Deliveries, 0)

	sreAgent(t, environ, "dead", "replay", "1", "1", "2").want(t, 0, "put back 2 dead letters\n", "")
	wantMessages(t, bus, streams.DeadStream, 2)
	wantMessages(t, bus, streams.Deliveries, 2)
	sreAgent(t, environ, "dead", "replay", "1").want(t, 1, "", "there is no dead letter 1")
	sreAgent(t, environ, "dead", "replay", "3", "99").want(t, 1, "", "there is no dead letter 99")
	wantMessages(t, bus, streams.Deliveries, 2)

	sreAgent(t, environ, "dead", "replay", "--all").want(t, 2, "", "add --yes")
	sreAgent(t, environ, "dead", "replay", "--all", "--reason", "malformed", "--yes").want(t, 0, "put back 1 dead letter\n", "")
	sreAgent(t, environ, "dead", "replay", "--all", "--yes").want(t, 0, "put back 1 dead letter\n", "")
	sreAgent(t, environ, "dead", "replay", "--all", "--yes").want(t, 0, "no dead letters\n", "")
	wantMessages(t, bus, streams.Deliveries, 4)
	wantMessages(t, bus, streams.DeadStream, 0)
}

func TestSomeDeadLettersFailAndTheOthersArePutBack(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	die(t, bus, "delivery-1", "malformed", "{}")
	if _, err := bus.JetStream().Publish(t.Context(), "dead.nowhere", nil); err != nil {
		t.Fatal(err)
	}
	die(t, bus, "delivery-3", "malformed", "{}")
	got := sreAgent(t, environ, "dead", "replay", "--all", "--yes")
	got.want(t, 1, "put back 2 dead letters\n", "2: dead letter 2 can't be put back")
	got.want(t, 1, "", "sre-agent: 1 of 3 failed")
	wantMessages(t, bus, streams.DeadStream, 1)
}

func TestDeadLettersAreDroppedWithAReason(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	for i := range 4 {
		die(t, bus, fmt.Sprintf("delivery-%d", i), []string{"malformed", "max_deliveries"}[i%2], "{}")
	}
	sreAgent(t, environ, "dead", "drop", "1", "--yes").want(t, 2, "", "--why is required")
	sreAgent(t, environ, "dead", "drop", "1", "--why", " ", "--yes").want(t, 2, "", "--why is required")
	sreAgent(t, environ, "dead", "drop", "1", "--why", "old").want(t, 2, "", "add --yes")
	sreAgent(t, environ, "dead", "drop", "--all", "--dry-run").want(t, 0, "would be dropped: 4 dead letters\n", "")
	wantMessages(t, bus, streams.DeadStream, 4)
	sreAgent(t, environ, "dead", "drop", "1", "--why", "old", "--yes").want(t, 0, "dropped 1 dead letter\n", "")
	sreAgent(t, environ, "dead", "drop", "--all", "--reason", "malformed", "--why", "old", "--by", "ada", "--yes").want(t, 0, "dropped 1 dead letter\n", "")
	wantMessages(t, bus, streams.DeadStream, 2)
	wantMessages(t, bus, streams.Deliveries, 0)
	s, err := bus.JetStream().Stream(t.Context(), streams.Events)
	if err != nil {
		t.Fatal(err)
	}
	for seq, actor := range map[uint64]string{1: "ben", 2: "ada"} {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil || m.Subject != "events.dead.dropped.github.acme.api" {
			t.Fatalf("%v, %v", m, err)
		}
		var e struct{ Actor, Why, Kind string }
		if err := json.Unmarshal(m.Data, &e); err != nil || e.Actor != actor || e.Why != "old" || e.Kind != "dead.dropped" {
			t.Errorf("recorded as %s", m.Data)
		}
	}
}
