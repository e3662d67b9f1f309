package streams_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

// The tests here each miss one guard of the streams: make mutants removes it and wants them red.

func TestAMessageIsAcknowledgedOnlyAfterItsHandler(t *testing.T) {
	b := connect(t, settings())
	started, finish := make(chan struct{}), make(chan struct{})
	consume(t, b, func(context.Context, *streams.Message) streams.Outcome {
		close(started)
		<-finish
		return streams.Done()
	}, nil)
	publish(t, b, delivery("d1", nil))
	<-started
	if i := info(t, b, streams.Deliveries, streams.ThrottleConsumer); i.NumAckPending != 1 || i.AckFloor.Stream != 0 {
		t.Errorf("acknowledged while it is worked on: %d pending, floor %d", i.NumAckPending, i.AckFloor.Stream)
	}
	close(finish)
	testenv.Eventually(t, 5*time.Second, func() bool {
		return info(t, b, streams.Deliveries, streams.ThrottleConsumer).NumAckPending == 0
	})
}

func TestADeadLetterThatCantBeKeptIsNotTerminated(t *testing.T) {
	b := connect(t, settings())
	if err := b.JetStream().DeleteStream(t.Context(), streams.DeadStream); err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 1)
	consume(t, b, func(context.Context, *streams.Message) streams.Outcome {
		return streams.Dead("malformed", errors.New("no"))
	}, func(context.Context) error {
		select {
		case asked <- struct{}{}:
		default:
		}
		return errors.New("still down")
	})
	publish(t, b, delivery("d1", nil))
	select {
	case <-asked: // settling has failed: the consumer waits for its dependencies
	case <-time.After(20 * time.Second):
		t.Error("the message was settled")
	}
	if i := info(t, b, streams.Deliveries, streams.ThrottleConsumer); i.NumAckPending != 1 {
		t.Error("the message is terminated, and no dead letter was kept")
	}
}

// TestASecondRingIsASecondDoorbell: the first one may have been lost, and the stream remembers ids for hours.
func TestASecondRingIsASecondDoorbell(t *testing.T) {
	b := connect(t, settings())
	for rings := range int32(2) {
		if err := b.Ring(t.Context(), streams.TypeRun, streams.RunSubject("github", "acme", "api"), 7, 2, rings); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, b, streams.Runs); n != 2 {
		t.Errorf("%d doorbells of two rings", n)
	}
}
