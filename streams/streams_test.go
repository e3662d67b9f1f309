package streams_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

func settings() streams.Settings {
	return streams.Settings{
		MaxAttempts: 3, BaseBackoff: 30 * time.Second, MaxBackoff: 10 * time.Minute,
		DeliveriesMaxBytes: 64 << 20, DeliveriesMaxAge: 24 * time.Hour, Replicas: 1,
	}
}

// connect returns a bus on a server of the test's own, with the table applied.
func connect(t *testing.T, s streams.Settings) *streams.Bus {
	t.Helper()
	url, _ := testenv.NATS(t)
	b, err := streams.Connect(streams.Options{Name: "test", URL: url, Settings: s, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if _, err := b.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func delivery(id string, body []byte) *streams.Message {
	return &streams.Message{
		ID: id, Type: streams.TypeDelivery, Subject: streams.DeliverySubject("github", "acme", "api"),
		Header: nats.Header{streams.HdrDeliveryID: {id}}, Body: body,
	}
}

func publish(t *testing.T, b *streams.Bus, m *streams.Message) bool {
	t.Helper()
	duplicate, err := b.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return duplicate
}

// consume works the throttle's consumer until the test ends.
func consume(t *testing.T, b *streams.Bus, handle func(context.Context, *streams.Message) streams.Outcome, ready func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Consume(ctx, streams.Worker{Consumer: streams.ThrottleConsumer, Workers: 1, Handle: handle, Ready: ready, Grace: time.Second})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func info(t *testing.T, b *streams.Bus, stream, consumer string) *jetstream.ConsumerInfo {
	t.Helper()
	c, err := b.JetStream().Consumer(t.Context(), stream, consumer)
	if err != nil {
		t.Fatal(err)
	}
	i, err := c.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func count(t *testing.T, b *streams.Bus, stream string) uint64 {
	t.Helper()
	s, err := b.JetStream().Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestTokensMeanNothingToNATSAndStayApart(t *testing.T) {
	for in, want := range map[string]string{
		"": "_", "_": "%5F", "acme": "acme", "a.b": "a%2Eb", "*": "%2A", "a>b": "a%3Eb", "50%": "50%25", "a/b": "a%2Fb",
		"a b": "a%20b", "\n": "%0A", "é": "%C3%A9", "Ab-c_d": "Ab-c_d",
	} {
		if got := streams.Token(in); got != want {
			t.Errorf("Token(%q) = %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if bytes.ContainsAny([]byte(streams.Token(a)), " .*>\t\r\n") {
			t.Fatalf("Token(%q) = %q has a meaning for NATS", a, streams.Token(a))
		}
		if a != b && streams.Token(a) == streams.Token(b) {
			t.Fatalf("%q and %q share a token", a, b)
		}
	})
}

func TestApplyIsIdempotentAndShowsDrift(t *testing.T) {
	b := connect(t, settings())
	if changes, err := b.Apply(t.Context()); err != nil || len(changes) != 0 {
		t.Fatalf("a second apply changes something: %v, %v", changes, err)
	}
	larger := settings()
	larger.DeliveriesMaxBytes *= 2
	larger.MaxAttempts = 5
	changes, err := streams.Apply(t.Context(), b.JetStream(), larger)
	if err != nil || len(changes) != 3 {
		t.Errorf("growing: %v, %v", changes, err)
	}
	if again, err := streams.Diff(t.Context(), b.JetStream(), larger); err != nil || len(again) != 0 {
		t.Errorf("after growing: %v, %v", again, err)
	}
	smaller := larger
	smaller.DeliveriesMaxBytes /= 4
	smaller.MaxAttempts = 2
	var drift *streams.DriftError
	if _, err := streams.Apply(t.Context(), b.JetStream(), smaller); !errors.As(err, &drift) || len(drift.Changes) != 1 {
		t.Fatalf("shrinking a stream is not refused: %v", err)
	}
	// Refused means that nothing at all was changed.
	if got := info(t, b, streams.Runs, streams.RunnerConsumer).Config.MaxDeliver; got != 5 {
		t.Errorf("MaxDeliver is %d after a refused apply", got)
	}
}

func TestEveryConsumerOfTheTableIsBounded(t *testing.T) {
	for attempts := 1; attempts <= 20; attempts++ {
		s := settings()
		s.MaxAttempts = attempts
		for _, row := range streams.Topology(s) {
			for _, c := range row.Consumers {
				if c.AckPolicy != jetstream.AckExplicitPolicy || c.MaxDeliver < 1 || len(c.BackOff) == 0 || len(c.BackOff) > c.MaxDeliver {
					t.Errorf("%s: %+v", c.Durable, c)
				}
			}
		}
	}
}

func TestADuplicateIDIsSaidSoAndKeptOnce(t *testing.T) {
	b := connect(t, settings())
	if publish(t, b, delivery("d1", []byte("x"))) || !publish(t, b, delivery("d1", []byte("x"))) {
		t.Error("the duplicate is not recognised")
	}
	if n := count(t, b, streams.Deliveries); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestBodiesTravelWhole(t *testing.T) {
	b := connect(t, settings())
	random := make([]byte, 3<<20) // does not compress: has to go to the object store
	_, _ = rand.Read(random)
	bodies := map[string][]byte{
		"empty": nil, "small": []byte("{}"), "json": bytes.Repeat([]byte(`{"a":1}`), 10_000), "beyond max_payload": random,
	}
	got := make(chan *streams.Message, len(bodies))
	for id, body := range bodies {
		publish(t, b, delivery(id, body))
	}
	consume(t, b, func(_ context.Context, m *streams.Message) streams.Outcome { got <- m; return streams.Done() }, nil)
	for range bodies {
		m := <-got
		if !bytes.Equal(m.Body, bodies[m.ID]) {
			t.Errorf("%s: %d bytes arrived of %d", m.ID, len(m.Body), len(bodies[m.ID]))
		}
	}
}

func TestAFullStreamAndAMissingServerAreSaidApart(t *testing.T) {
	s := settings()
	s.DeliveriesMaxBytes = 64 << 10
	b := connect(t, s)
	body := make([]byte, 20<<10)
	_, _ = rand.Read(body)
	var err error
	for i := 0; err == nil && i < 10; i++ {
		_, err = b.Publish(t.Context(), delivery(fmt.Sprint(i), body))
	}
	if !errors.Is(err, streams.ErrFull) {
		t.Errorf("a full stream: %v", err)
	}
	b.Close()
	if _, err := b.Publish(t.Context(), delivery("later", nil)); !errors.Is(err, streams.ErrUnavailable) {
		t.Errorf("no server: %v", err)
	}
}

func TestDoneIsAcknowledged(t *testing.T) {
	b := connect(t, settings())
	handled := make(chan string, 10)
	consume(t, b, func(_ context.Context, m *streams.Message) streams.Outcome { handled <- m.ID; return streams.Done() }, nil)
	publish(t, b, delivery("d1", nil))
	<-handled
	testenv.Eventually(t, 5*time.Second, func() bool {
		i := info(t, b, streams.Deliveries, streams.ThrottleConsumer)
		return i.NumAckPending == 0 && i.AckFloor.Stream == 1
	})
}

func TestDeadGoesToDEADWithItsReasonAndBody(t *testing.T) {
	b := connect(t, settings())
	body := bytes.Repeat([]byte("poison "), 1000)
	consume(t, b, func(context.Context, *streams.Message) streams.Outcome {
		return streams.Dead("malformed", errors.New("line 1\nline 2"))
	}, nil)
	publish(t, b, delivery("d1", body))
	testenv.Eventually(t, 5*time.Second, func() bool { return count(t, b, streams.DeadStream) == 1 })
	s, err := b.JetStream().Stream(t.Context(), streams.DeadStream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		streams.HdrDeadReason: "malformed", streams.HdrDeadError: "line 1 line 2", streams.HdrDeadStream: streams.Deliveries,
		streams.HdrDeadSequence: "1", streams.HdrDeadID: "d1", streams.HdrDeliveryID: "d1",
		streams.HdrDeadSubject: "deliveries.github.acme.api",
	} {
		if got := m.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	testenv.Eventually(t, 5*time.Second, func() bool {
		return info(t, b, streams.Deliveries, streams.ThrottleConsumer).NumAckPending == 0
	})
}

func TestAMessageWithoutEnvelopeIsDeadNotLost(t *testing.T) {
	b := connect(t, settings())
	consume(t, b, func(context.Context, *streams.Message) streams.Outcome {
		t.Error("handled")
		return streams.Done()
	}, nil)
	for _, h := range []nats.Header{nil, {"Sre-Type": {"delivery"}, "Sre-Version": {"one"}}} {
		if _, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "deliveries.github.a.b", Header: h, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, 5*time.Second, func() bool { return count(t, b, streams.DeadStream) == 2 })
}

func TestANewerEnvelopeIsLeftForANewerProgramAndNeverLost(t *testing.T) {
	b := connect(t, settings())
	newer, body := nats.Header{"Sre-Type": {"delivery"}, "Sre-Version": {"2"}, "Sre-New": {"x"}, "Content-Encoding": {"br"}}, []byte("as it was")
	if _, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "deliveries.github.a.b", Header: newer, Data: body}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, delivery("known", nil))
	handled := make(chan string, 2)
	consume(t, b, func(_ context.Context, m *streams.Message) streams.Outcome {
		handled <- m.ID
		return streams.Done()
	}, nil)
	if id := <-handled; id != "known" {
		t.Errorf("%q was handled", id)
	}
	left := info(t, b, streams.Deliveries, streams.ThrottleConsumer)
	if left.NumAckPending != 1 || count(t, b, streams.DeadStream) != 0 {
		t.Errorf("%d messages are left, %d are dead", left.NumAckPending, count(t, b, streams.DeadStream))
	}
	// Nobody who knows it has come: the server gives it up, and it is moved as it was.
	go func() { _ = b.MoveExhausted(t.Context(), nil) }()
	advisory := `{"stream":"DELIVERIES","consumer":"throttle","stream_seq":1,"deliveries":10}`
	if _, err := b.JetStream().Publish(t.Context(), "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.DELIVERIES.throttle", []byte(advisory)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, func() bool { return count(t, b, streams.DeadStream) == 1 })
	stream, err := b.JetStream().Stream(t.Context(), streams.DeadStream)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(dead.Data, body) || dead.Header.Get("Sre-Version") != "2" || dead.Header.Get("Sre-New") != "x" || dead.Header.Get("Content-Encoding") != "br" {
		t.Errorf("%q with %v", dead.Data, dead.Header)
	}
}

func TestAnOutageOfADependencyBurnsNoDeliveries(t *testing.T) {
	b := connect(t, settings())
	var down atomic.Bool
	var handled, asked atomic.Int32
	down.Store(true)
	consume(t, b, func(context.Context, *streams.Message) streams.Outcome {
		handled.Add(1)
		if down.Load() {
			return streams.Leave(errors.New("database down"))
		}
		return streams.Done()
	}, func(context.Context) error {
		asked.Add(1)
		if down.Load() {
			return errors.New("still down")
		}
		return nil
	})
	for i := range 5 {
		publish(t, b, delivery(fmt.Sprint(i), nil))
	}
	testenv.Eventually(t, 10*time.Second, func() bool { return asked.Load() >= 3 })
	if n := handled.Load(); n != 1 {
		t.Errorf("%d messages were taken during the outage", n)
	}
	down.Store(false)
	testenv.Eventually(t, 10*time.Second, func() bool { return handled.Load() >= 5 })
}

func TestAPanicIsOneMessagesCrash(t *testing.T) {
	b := connect(t, settings())
	var handled atomic.Int32
	consume(t, b, func(_ context.Context, m *streams.Message) streams.Outcome {
		handled.Add(1)
		if m.ID == "poison" {
			panic("at the disco")
		}
		return streams.Done()
	}, nil)
	publish(t, b, delivery("poison", nil))
	publish(t, b, delivery("good", nil))
	testenv.Eventually(t, 5*time.Second, func() bool { return handled.Load() == 2 })
}

func TestStoppingLetsWorkInHandFinishAndTakesNoMore(t *testing.T) {
	b := connect(t, settings())
	started, finish := make(chan struct{}), make(chan struct{})
	var handled atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Consume(ctx, streams.Worker{
			Consumer: streams.ThrottleConsumer, Workers: 1, Grace: time.Minute,
			Handle: func(work context.Context, _ *streams.Message) streams.Outcome {
				handled.Add(1)
				close(started)
				<-finish
				if work.Err() != nil {
					t.Error("work in hand was cancelled within the grace period")
				}
				return streams.Done()
			},
		})
	}()
	publish(t, b, delivery("1", nil))
	publish(t, b, delivery("2", nil))
	<-started
	cancel()
	close(finish)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := handled.Load(); n != 1 {
		t.Errorf("%d messages handled", n)
	}
	if i := info(t, b, streams.Deliveries, streams.ThrottleConsumer); i.AckFloor.Stream != 1 {
		t.Errorf("the work in hand was not acknowledged: %+v", i.AckFloor)
	}
}

func TestWhatTheServerGivesUpIsMovedToDEAD(t *testing.T) {
	b := connect(t, settings())
	publish(t, b, delivery("d1", []byte("body")))
	// A consumer of ours that has used up its deliveries: the advisory as the server writes it.
	c, err := b.JetStream().CreateOrUpdateConsumer(t.Context(), streams.Deliveries, jetstream.ConsumerConfig{
		Durable: streams.ThrottleConsumer, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		MaxDeliver: 2, BackOff: []time.Duration{50 * time.Millisecond}, MaxAckPending: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Next(jetstream.FetchMaxWait(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	noted := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.MoveExhausted(ctx, func(_ context.Context, m *streams.Message) error {
			noted <- m.ID + " " + string(m.Body)
			return nil
		})
	}()
	// The server notices when it is asked for more.
	_, _ = c.Next(jetstream.FetchMaxWait(time.Second))
	if got := <-noted; got != "d1 body" {
		t.Errorf("noted %q", got)
	}
	testenv.Eventually(t, 10*time.Second, func() bool { return count(t, b, streams.DeadStream) == 1 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRingingTwiceIsOneDoorbell(t *testing.T) {
	b := connect(t, settings())
	for range 3 {
		if err := b.Ring(t.Context(), streams.TypeRun, streams.RunSubject("github", "acme", "api"), 7, 2, 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, b, streams.Runs); n != 1 {
		t.Errorf("%d doorbells", n)
	}
}
