package streams_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/about"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

func lag(t *testing.T, b *streams.Bus, stream string) streams.Lag {
	t.Helper()
	lags, err := b.Lags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lags {
		if l.Stream == stream {
			return l
		}
	}
	t.Fatalf("no stream %s", stream)
	return streams.Lag{}
}

func TestLagsSayHowFarAConsumerIs(t *testing.T) {
	b := connect(t, settings())
	for _, id := range []string{"1", "2", "3"} {
		publish(t, b, delivery(id, []byte("body")))
	}
	if l := lag(t, b, streams.Deliveries); l.Messages != 3 || l.Pending != 3 || l.AckPending != 0 || l.Bytes == 0 || l.MaxBytes != settings().DeliveriesMaxBytes || l.Consumer != streams.ThrottleConsumer {
		t.Errorf("before: %+v", l)
	}
	inHand, goOn := make(chan bool, 10), make(chan bool)
	consume(t, b, func(context.Context, *streams.Message) streams.Outcome { inHand <- true; <-goOn; return streams.Done() }, nil)
	<-inHand
	if l := lag(t, b, streams.Deliveries); l.Pending+l.AckPending != 3 || l.AckPending == 0 || l.Redelivered != 0 {
		t.Errorf("in hand: %+v", l)
	}
	close(goOn)
	testenv.Eventually(t, 5*time.Second, func() bool { l := lag(t, b, streams.Deliveries); return l.Pending+l.AckPending == 0 })
	if l := lag(t, b, streams.DeadStream); l.Messages != 0 || l.Consumer != "" {
		t.Errorf("DEAD: %+v", l)
	}
}

func TestScanDoneShowsTheHeadersOfWhatTheConsumerIsDoneWith(t *testing.T) {
	b := connect(t, settings())
	for _, id := range []string{"1", "2", "3"} {
		publish(t, b, delivery(id, []byte("body")))
	}
	scan := func(from uint64, n int) (ids []string, next, last uint64) {
		t.Helper()
		next, last, err := b.ScanDone(t.Context(), streams.Deliveries, streams.ThrottleConsumer, from, n, func(k streams.Kept) error {
			ids = append(ids, k.Header.Get(nats.MsgIdHdr))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids, next, last
	}
	if ids, next, last := scan(1, 10); len(ids) != 0 || next != 1 || last != 3 {
		t.Errorf("nothing done: %v, next %d, last %d", ids, next, last)
	}
	consume(t, b, func(context.Context, *streams.Message) streams.Outcome { return streams.Done() }, nil)
	testenv.Eventually(t, 5*time.Second, func() bool { ids, _, _ := scan(1, 10); return len(ids) == 3 })
	for _, tc := range []struct {
		from uint64
		n    int
		want int
		next uint64
	}{{1, 2, 2, 3}, {3, 2, 1, 4}, {4, 2, 0, 4}} {
		if ids, next, _ := scan(tc.from, tc.n); len(ids) != tc.want || next != tc.next {
			t.Errorf("%d from %d: %v, next %d", tc.n, tc.from, ids, next)
		}
	}
}

func TestAHandlersContextSaysWhatItsMessageIsAbout(t *testing.T) {
	b, tel := connect(t, settings()), telemetry.NewTest()
	if err := b.Measure(tel.Meters); err != nil {
		t.Fatal(err)
	}
	m := delivery("1", []byte("body"))
	m.Header.Set(streams.HdrDeliveryID, "d-1")
	m.Subject = streams.DeliverySubject("github", "acme", "hello.world")
	got := make(chan about.Work, 1)
	consume(t, b, func(ctx context.Context, _ *streams.Message) streams.Outcome {
		got <- about.From(ctx)
		return streams.Done()
	}, nil)
	publish(t, b, m)
	if diff := cmp.Diff(about.Work{DeliveryID: "d-1", Repository: "acme/hello.world"}, <-got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
