package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/services/throttle"
	"github.com/sre-agent/sre-agent/streams"
)

// deliver publishes a delivery as ingest does.
func deliver(t *testing.T, bus *streams.Bus, owner, name, id string, body []byte) {
	t.Helper()
	m := deliveryMessage("github", id, body)
	m.Subject = streams.DeliverySubject("github", owner, name)
	if _, err := bus.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func deliveryMessage(provider, id string, body []byte) *streams.Message {
	return &streams.Message{
		ID: provider + "-" + id, Type: streams.TypeDelivery, Subject: streams.DeliverySubject(provider, "acme", "api"), Body: body,
		Header: nats.Header{
			streams.HdrProvider: {provider}, streams.HdrDeliveryID: {id}, streams.HdrEvent: {"workflow_run"},
		},
	}
}

// unlimited lets every run start at once.
type unlimited struct{}

func (unlimited) Reserve(context.Context, string, int, int) (time.Duration, error) { return 0, nil }

// throttled runs the throttle's intake on a real database until the test ends, and puts the database into environ.
func throttled(t *testing.T, environ map[string]string, bus *streams.Bus) *store.Store {
	t.Helper()
	environ["DATABASE_URL"] = testenv.PostgresWithSchema(t, migrate)
	st, err := store.Open(t.Context(), environ["DATABASE_URL"], store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	tel := telemetry.NewTest()
	intake := &throttle.Intake{Store: st, Rate: unlimited{}, Events: bus, Counters: tel.Counters, Log: tel.Log, PerMinute: 30, Wake: func() {}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- bus.Consume(ctx, streams.Worker{Consumer: streams.ThrottleConsumer, Workers: 1, Handle: intake.Handle, Grace: time.Second})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return st
}

// settled waits until the throttle has settled every delivery up to this place in the stream.
func settled(t *testing.T, bus *streams.Bus, sequence uint64) {
	t.Helper()
	testenv.Eventually(t, 20*time.Second, func() bool {
		c, err := bus.JetStream().Consumer(t.Context(), streams.Deliveries, streams.ThrottleConsumer)
		return err == nil && c.CachedInfo().AckFloor.Stream == sequence
	})
}

func failed(n int) []byte {
	return githubtest.FailedRun(githubtest.Params{Owner: "acme", Name: "api", SHA: fmt.Sprintf("%040x", n), RunID: int64(n + 1)})
}

func TestReplayingEveryDeliveryTwiceMakesNoSecondRun(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	st := throttled(t, environ, bus)
	const n = 5
	for i := range n {
		deliver(t, bus, "acme", "api", fmt.Sprintf("delivery-%d", i), failed(i))
	}
	settled(t, bus, n)
	before := tally(t, st)
	for round := range uint64(2) {
		got := sreAgent(t, environ, "deliveries", "replay", "--since", "1h", "--why", "a drill")
		got.want(t, 0, "replayed 5 deliveries", "")
		settled(t, bus, (round+2)*n)
	}
	if after := tally(t, st); after != before || !strings.Contains(before, "5 runs, map[run:5]") {
		t.Errorf("before: %s, after: %s", before, after)
	}
}

// tally is what is recorded, in one line.
func tally(t *testing.T, st *store.Store) string {
	t.Helper()
	runs, err := st.Runs(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := st.DeliveryCounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d runs, %v", len(runs), counts)
}

func TestADeadDeliveryIsWorkedOnWhenItIsReplayed(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	body := failed(1)
	deliver(t, bus, "acme", "api", "delivery-1", body)
	environ["DATABASE_URL"] = testenv.PostgresWithSchema(t, migrate)
	st, err := store.Open(t.Context(), environ["DATABASE_URL"], store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	sum := sha256.Sum256(body)
	_, err = st.RecordEnd(t.Context(), store.Delivery{
		Provider: "github", ID: "delivery-1", Event: "workflow_run", BodySHA256: hex.EncodeToString(sum[:]), ReceivedAt: time.Now(),
	}, store.OutcomeDead, streams.ReasonMaxDeliveries)
	if err != nil {
		t.Fatal(err)
	}
	sreAgent(t, environ, "deliveries", "show", "github", "delivery-1").want(t, 0, "as dead (max_deliveries)", "")
	sreAgent(t, environ, "deliveries", "replay", "delivery-1").want(t, 0, "replayed 1 delivery as replay-", "")
	tel := telemetry.NewTest()
	intake := &throttle.Intake{Store: st, Rate: unlimited{}, Events: bus, Counters: tel.Counters, Log: tel.Log, PerMinute: 30, Wake: func() {}}
	s, err := bus.JetStream().Stream(t.Context(), streams.Deliveries)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 2 {
		t.Fatalf("%d messages", n)
	}
	handled := make(chan string, 2)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- bus.Consume(ctx, streams.Worker{
			Consumer: streams.ThrottleConsumer, Workers: 1, Grace: time.Second,
			Handle: func(ctx context.Context, m *streams.Message) streams.Outcome {
				o := intake.Handle(ctx, m)
				handled <- m.ID + " " + o.String()
				return o
			},
		})
	}()
	if a, b := <-handled, <-handled; a != "github-delivery-1 done" || !strings.HasSuffix(b, " done") {
		t.Errorf("%s, %s", a, b)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	show := sreAgent(t, environ, "deliveries", "show", "github", "delivery-1")
	show.want(t, 0, "as run\n", "")
	show.want(t, 0, "1  waiting (new)  acme/api\n", "")
}

func TestWhichDeliveriesAreReplayed(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	for i := range 7 {
		deliver(t, bus, "acme", "api", fmt.Sprintf("delivery-%d", i), failed(i))
	}
	deliver(t, bus, "acme", "web", "other", []byte(hostile))
	now := time.Now()
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"a repository":               {[]string{"--repository", "acme/api"}, "would be replayed: 7 deliveries\n"},
		"the first few are shown":    {[]string{"--repository", "acme/api"}, "… and 2 more\n"},
		"another repository":         {[]string{"--repository", "acme/web"}, "would be replayed: 1 delivery\n"},
		"a repository without any":   {[]string{"--repository", "acme/none"}, "no delivery in the stream matches\n"},
		"other spelling is another":  {[]string{"--repository", "Acme/API"}, "no delivery in the stream matches\n"},
		"a duration":                 {[]string{"--since", "1h"}, "would be replayed: 8 deliveries\n"},
		"days":                       {[]string{"--since", "7d", "--until", "1d"}, "no delivery in the stream matches\n"},
		"a time":                     {[]string{"--since", at(-time.Hour), "--until", at(time.Hour)}, "would be replayed: 8 deliveries\n"},
		"a time before":              {[]string{"--until", at(-time.Hour)}, "no delivery in the stream matches\n"},
		"ids":                        {[]string{"delivery-3", "other"}, "would be replayed: 2 deliveries\n"},
		"another provider":           {[]string{"--provider", "gitlab", "--since", "1h"}, "no delivery in the stream matches\n"},
		"a repository and an id":     {[]string{"delivery-3", "--repository", "acme/api"}, "delivery-3"},
		"a repository and a time":    {[]string{"--repository", "acme/api", "--since", "1h"}, "would be replayed: 7 deliveries\n"},
		"wildcards are no wildcards": {[]string{"--repository", "*/*"}, "no delivery in the stream matches\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := sreAgent(t, environ, append([]string{"deliveries", "replay", "--dry-run"}, tc.args...)...)
			got.want(t, 0, tc.want, "")
			wantNothingDeceiving(t, got)
		})
	}
	wantMessages(t, bus, streams.Deliveries, 8)
	missing := sreAgent(t, environ, "deliveries", "replay", "delivery-3", "none-\x1b[2J")
	missing.want(t, 1, "", "not in the stream: none-")
	wantNothingDeceiving(t, missing)
	wantMessages(t, bus, streams.Deliveries, 8)

	sreAgent(t, environ, "deliveries", "replay", "--repository", "acme/web", "--by", "ada", "--why", "a drill").want(t, 0, "replayed 1 delivery", "")
	wantMessages(t, bus, streams.Deliveries, 9)
	s, err := bus.JetStream().Stream(t.Context(), streams.Events)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), 1)
	if err != nil || m.Subject != "events.deliveries.replayed.github.acme.web" || !strings.Contains(string(m.Data), `"detail":"1 delivery by ada: a drill"`) {
		t.Errorf("recorded as %v, %v", m, err)
	}
}

func TestDeliveriesAreListedAndShown(t *testing.T) {
	t.Parallel()
	environ, bus := natsWithStreams(t)
	throttled(t, environ, bus)
	sreAgent(t, environ, "deliveries", "list").want(t, 0, "no deliveries\n", "")
	deliver(t, bus, "acme", "api", "delivery-1", failed(1))
	deliver(t, bus, "acme", "api", "delivery-2"+hostile[:9], []byte("{}"))
	settled(t, bus, 2)
	list := sreAgent(t, environ, "deliveries", "list")
	list.want(t, 0, "acme/api", "")
	wantNothingDeceiving(t, list)
	if lines := strings.Split(list.stdout, "\n"); len(lines) != 4 || !strings.Contains(lines[1], "dead") || !strings.Contains(lines[2], "waiting") {
		t.Errorf("want a head and two deliveries, the newest first:\n%s", list.stdout)
	}
	if only := sreAgent(t, environ, "deliveries", "list", "--outcome", "dead"); strings.Contains(only.stdout, "delivery-1") || !strings.Contains(only.stdout, "malformed") {
		t.Errorf("--outcome does not choose:\n%s", only.stdout)
	}
	var rows []deliveryRowView
	if err := json.Unmarshal([]byte(sreAgent(t, environ, "deliveries", "list", "--json").stdout), &rows); err != nil || len(rows) != 2 ||
		rows[1].DeliveryID != "delivery-1" || rows[1].Repository != "acme/api" || *rows[1].RunID != 1 || rows[1].RunState != "waiting" {
		t.Errorf("%+v, %v", rows, err)
	}
	show := sreAgent(t, environ, "deliveries", "show", "github", "delivery-1")
	for _, want := range []string{"as run\n", "1  waiting (new)  acme/api\n", "DELIVERIES/1 of "} {
		show.want(t, 0, want, "")
	}
	dead := sreAgent(t, environ, "deliveries", "show", "github", "delivery-2"+hostile[:9])
	dead.want(t, 0, "dead letter  1 of ", "")
	wantNothingDeceiving(t, dead)
	var w whereaboutsView
	err := json.Unmarshal([]byte(sreAgent(t, environ, "deliveries", "show", "github", "delivery-1", "--json").stdout), &w)
	if err != nil || w.Record.Outcome != "run" || w.Run.ID != 1 || w.Message.Sequence != 1 || len(w.Letters) != 0 {
		t.Errorf("%+v, %v", w, err)
	}

	none := sreAgent(t, environ, "deliveries", "show", "github", "none\x1b[2J")
	none.want(t, 1, "", "there is no delivery none")
	wantNothingDeceiving(t, none)
	s, err := bus.JetStream().Stream(t.Context(), streams.Deliveries)
	if err != nil || s.Purge(t.Context()) != nil {
		t.Fatal(err)
	}
	sreAgent(t, environ, "deliveries", "show", "github", "delivery-1").want(t, 0, "no longer in the stream", "")
	delete(environ, "NATS_URL")
	sreAgent(t, environ, "deliveries", "show", "github", "delivery-1").want(t, 0, "not looked for: NATS_URL is not set", "")
}
