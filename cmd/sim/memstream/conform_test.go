package memstream_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/sre-agent/sre-agent/cmd/sim/memstream"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

// TestMain plays fewer sequences than rapid's own number: real time passes in each.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set("8") // a number is always accepted
	}
	os.Exit(m.Run())
}

var ctx = context.Background()

// The server's timers are real. A message comes back after long; ops between two waits take far less.
const (
	long  = time.Second
	quick = 60 * time.Millisecond // how long an empty stream is asked
)

// rig is a stream on a server and its double.
type rig struct {
	t      *testing.T
	js     jetstream.JetStream
	cons   jetstream.Consumer
	double *memstream.Stream
	hands  map[uint64]jetstream.Msg
}

func newRig(t *testing.T, rt *rapid.T, js jetstream.JetStream, workQueue bool) *rig {
	cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, Storage: jetstream.MemoryStorage, Duplicates: time.Hour}
	if workQueue {
		cfg.Retention = jetstream.WorkQueuePolicy
	}
	_ = js.DeleteStream(ctx, "S") // there may be none
	if _, err := js.CreateStream(ctx, cfg); err != nil {
		rt.Fatal(err)
	}
	backoff := []time.Duration{long, long}
	cons, err := js.CreateConsumer(ctx, "S", jetstream.ConsumerConfig{
		Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy, MaxDeliver: 3, BackOff: backoff,
	})
	if err != nil {
		rt.Fatal(err)
	}
	return &rig{t: t, js: js, cons: cons, hands: map[uint64]jetstream.Msg{}, double: memstream.New(memstream.Config{
		Name: "S", WorkQueue: workQueue, Duplicates: time.Hour, MaxDeliver: 3, BackOff: backoff,
	}, time.Now, nil)}
}

// fetch takes all that both have to give, and compares: sequence and number of the delivery.
func (r *rig) fetch(rt *rapid.T) {
	var want, got []string
	for {
		batch, err := r.cons.Fetch(1, jetstream.FetchMaxWait(quick))
		if err != nil {
			rt.Fatal(err)
		}
		n := 0
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			if err != nil {
				rt.Fatal(err)
			}
			n++
			want = append(want, fmt.Sprint(meta.Sequence.Stream, " for the ", meta.NumDelivered))
			r.hands[meta.Sequence.Stream] = msg
		}
		if n == 0 {
			break
		}
	}
	for m := r.double.Next(nil); m != nil; m = r.double.Next(nil) {
		got = append(got, fmt.Sprint(m.Sequence, " for the ", m.Deliveries))
	}
	slices.Sort(want) // the order of what comes back is not promised
	slices.Sort(got)
	if !slices.Equal(want, got) {
		rt.Fatalf("the server delivers %v, the double %v", want, got)
	}
	rt.Logf("delivered %v", got)
}

// inHand draws a message that was delivered.
func (r *rig) inHand(rt *rapid.T) (uint64, jetstream.Msg) {
	if len(r.hands) == 0 {
		rt.Skip("nothing in hand")
	}
	var seqs []uint64
	for seq := range r.hands {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	seq := rapid.SampledFrom(seqs).Draw(rt, "sequence")
	return seq, r.hands[seq]
}

func (r *rig) publish(rt *rapid.T) {
	id := fmt.Sprint("m", rapid.IntRange(1, 6).Draw(rt, "id"))
	ack, err := r.js.PublishMsg(ctx, &nats.Msg{Subject: "s.x", Header: nats.Header{nats.MsgIdHdr: {id}}, Data: []byte("x")})
	if err != nil {
		rt.Fatal(err)
	}
	seq, duplicate := r.double.Publish(&streams.Message{ID: id})
	if duplicate != ack.Duplicate || (!duplicate && seq != ack.Sequence) {
		rt.Fatalf("publish %s: the server says %d, duplicate %t; the double %d, %t", id, ack.Sequence, ack.Duplicate, seq, duplicate)
	}
}

func (r *rig) compare(rt *rapid.T) {
	for seq := uint64(1); seq <= r.double.Last(); seq++ {
		s, err := r.js.Stream(ctx, "S")
		if err != nil {
			rt.Fatal(err)
		}
		// A term is not confirmed, so the server may still be at it.
		testenv.Eventually(r.t, 5*time.Second, func() bool {
			_, err = s.GetMsg(ctx, seq)
			return errors.Is(err, jetstream.ErrMsgNotFound) == (r.double.Get(seq) == nil)
		})
	}
}

// TestTheDoubleDeliversAsJetStreamDoes plays random operations on both and compares what is delivered and kept.
func TestTheDoubleDeliversAsJetStreamDoes(t *testing.T) {
	_, nc := testenv.NATS(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, rt, js, rapid.Bool().Draw(rt, "work queue"))
		for range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			// Deadlines fall between rounds only: a round is much shorter than a message takes to come back.
			for range rapid.IntRange(1, 4).Draw(rt, "publishes") {
				r.publish(rt)
			}
			r.fetch(rt)
			for range rapid.IntRange(0, 3).Draw(rt, "settled") {
				if len(r.hands) == 0 {
					break
				}
				seq, msg := r.inHand(rt)
				switch rapid.SampledFrom([]string{"ack", "ack", "term", "again"}).Draw(rt, "how") {
				case "ack":
					err = msg.DoubleAck(ctx)
				case "term":
					err = msg.Term()
				default:
					continue // left: it comes again
				}
				if err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
					rt.Fatal(err)
				}
				r.double.Ack(seq)
				delete(r.hands, seq)
			}
			r.compare(rt)
			<-time.After(long + 200*time.Millisecond)
		}
		r.fetch(rt)
		r.compare(rt)
	})
}
