package streams_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

func TestStreamsThatAreGoneAreMadeAnew(t *testing.T) {
	b := connect(t, settings())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); b.KeepTopology(ctx, 50*time.Millisecond) }()
	t.Cleanup(func() { cancel(); <-ended })
	for _, row := range streams.Topology(settings()) {
		if err := b.JetStream().DeleteStream(t.Context(), row.Stream.Name); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, 10*time.Second, func() bool {
		changes, err := streams.Diff(t.Context(), b.JetStream(), settings())
		return err == nil && len(changes) == 0
	})
}

func TestAConsumerGoesOnWhenItsStreamWasMadeAnew(t *testing.T) {
	b := connect(t, settings())
	handled := make(chan string, 10)
	consume(t, b, func(_ context.Context, m *streams.Message) streams.Outcome { handled <- m.ID; return streams.Done() }, nil)
	publish(t, b, delivery("before", nil))
	<-handled
	if err := b.JetStream().DeleteStream(t.Context(), streams.Deliveries); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, b, delivery("after", nil))
	select {
	case id := <-handled:
		if id != "after" {
			t.Errorf("handled %s", id)
		}
	case <-time.After(20 * time.Second):
		t.Error("the consumer never came back")
	}
}

func TestWalkDoneShowsWhatTheConsumerIsDoneWith(t *testing.T) {
	b := connect(t, settings())
	handled := make(chan string, 10)
	for _, id := range []string{"1", "2", "3"} {
		publish(t, b, delivery(id, []byte("body "+id)))
	}
	consume(t, b, func(_ context.Context, m *streams.Message) streams.Outcome { handled <- m.ID; return streams.Done() }, nil)
	for range 3 {
		<-handled
	}
	var got []string
	walk := func(from uint64, n int) (next, last uint64) {
		got = nil
		next, last, err := b.WalkDone(t.Context(), streams.Deliveries, streams.ThrottleConsumer, from, n, func(m *streams.Message) error {
			got = append(got, string(m.Body))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return next, last
	}
	testenv.Eventually(t, 5*time.Second, func() bool { next, _ := walk(1, 10); return next == 4 })
	if next, last := walk(1, 2); next != 3 || last != 3 || len(got) != 2 || got[1] != "body 2" {
		t.Errorf("next %d, last %d, %v", next, last, got)
	}
	if next, _ := walk(4, 10); next != 4 || len(got) != 0 {
		t.Errorf("next %d, %v", next, got)
	}
}

func TestAnEventsStreamThatIsThereKeepsItsWayOfWriting(t *testing.T) {
	for _, was := range []jetstream.PersistModeType{jetstream.DefaultPersistMode, jetstream.AsyncPersistMode} {
		b := connect(t, settings())
		js := b.JetStream()
		if was == jetstream.DefaultPersistMode {
			if err := js.DeleteStream(t.Context(), streams.Events); err != nil {
				t.Fatal(err)
			}
			for _, row := range streams.Topology(settings()) {
				if row.Stream.PersistMode = was; row.Stream.Name == streams.Events {
					if _, err := js.CreateStream(t.Context(), row.Stream); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for range 2 {
			if _, err := b.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s, err := js.Stream(t.Context(), streams.Events)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().Config.PersistMode; got != was {
			t.Errorf("writes %v, want %v", got, was)
		}
	}
}
