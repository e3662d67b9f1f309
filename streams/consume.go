package streams

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Worker says how a consumer of the table is worked.
type Worker struct {
	// Consumer is a name in the table.
	Consumer string
	// Workers is how many messages are in hand at most; each worker holds one.
	Workers int
	// Handle does the work. Its context is cancelled when the grace period ends.
	Handle func(context.Context, *Message) Outcome
	// Ready asks the handler's dependencies. After a Leave nothing is fetched until it returns nil.
	Ready func(context.Context) error
	// Grace is how long work in hand may go on after the stop.
	Grace time.Duration
}

// fetchWait is how long one request for a message waits at the server.
const fetchWait = 5 * time.Second

// Consume works a consumer until ctx ends, then lets the work in hand finish within the grace period.
func (b *Bus) Consume(ctx context.Context, w Worker) error {
	stream, row, ok := consumerOf(b.rows, w.Consumer)
	if !ok {
		return fmt.Errorf("consumer %s is not in the table", w.Consumer)
	}
	// Two contexts: ctx stops taking work, work cancels work in hand.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	c := &consuming{bus: b, Worker: w, stream: stream, beat: row.BackOff[0] / 3}
	var wg sync.WaitGroup
	for range max(1, w.Workers) {
		wg.Go(func() { c.loop(ctx, work) })
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	<-ctx.Done()
	grace := time.NewTimer(w.Grace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
		cancel()
		<-ended
	}
	return nil
}

type consuming struct {
	Worker
	bus    *Bus
	stream string
	beat   time.Duration
}

func (c *consuming) loop(ctx, work context.Context) {
	pause := newPause(100*time.Millisecond, 2*time.Second)
	var cons jetstream.Consumer
	for ctx.Err() == nil {
		if cons == nil {
			found, err := c.bus.js.Consumer(ctx, c.stream, c.Consumer)
			if err != nil {
				pause.wait(ctx)
				continue
			}
			cons = found
		}
		raw, err := next(ctx, cons)
		switch {
		case err == nil && raw == nil: // nothing to do
			pause.reset()
			continue
		case err != nil:
			cons = nil
			pause.wait(ctx)
			continue
		}
		pause.reset()
		if o := c.handle(work, raw); o.kind == leave {
			c.awaitReady(ctx)
		}
	}
}

// next asks for one message and returns nil when none came within fetchWait.
func next(ctx context.Context, cons jetstream.Consumer) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	raw, err := cons.Next(jetstream.FetchContext(ctx))
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, context.DeadlineExceeded) {
		return nil, nil //nolint:nilnil // nothing came, and nothing is wrong
	}
	return raw, err
}

// handle runs the handler on one message under a heartbeat and settles it.
func (c *consuming) handle(work context.Context, raw jetstream.Msg) Outcome {
	stop := heartbeat(raw, c.beat)
	m, o := c.run(work, raw)
	stop()
	ctx := aboutMessage(work, m)
	if err := c.bus.settle(context.WithoutCancel(work), raw, m, c.Consumer, o); err != nil {
		// The message comes again; handlers know what they have done already.
		c.bus.log.WarnContext(ctx, "message not settled", "consumer", c.Consumer, "subject", m.Subject, "outcome", o.String(), "error", err)
		return Leave(err)
	}
	if o.kind != done {
		c.bus.log.WarnContext(ctx, "message not done", "consumer", c.Consumer, "subject", m.Subject,
			"sequence", m.Sequence, "deliveries", m.Deliveries, "outcome", o.String())
	}
	return o
}

func (c *consuming) run(work context.Context, raw jetstream.Msg) (m *Message, o Outcome) {
	m, err := open(raw.Subject(), raw.Headers(), raw.Data())
	if meta, merr := raw.Metadata(); merr == nil {
		m.Stream, m.Sequence, m.Deliveries = meta.Stream, meta.Sequence.Stream, meta.NumDelivered
	}
	if err != nil {
		return m, Dead("bad_envelope", err)
	}
	ctx := c.bus.prop.Extract(work, propagation.HeaderCarrier(m.Header))
	ctx, span := c.bus.tracer.Start(aboutMessage(ctx, m), "process "+c.Consumer, trace.WithSpanKind(trace.SpanKindConsumer), c.spanOf(m))
	defer span.End()
	began := time.Now()
	defer func() { c.tellProcessed(ctx, o, began) }()
	body, err := c.bus.bodies.unpack(ctx, m.Header, m.Body)
	if errors.Is(err, errBody) {
		return m, Dead("bad_body", err)
	}
	if err != nil {
		return m, Leave(err)
	}
	m.Body = body
	defer func() {
		// A handler that panics is a crash of one message: MaxDeliver bounds it.
		if p := recover(); p != nil {
			o = Leave(fmt.Errorf("panic: %v", p))
			c.bus.log.ErrorContext(ctx, "handler panicked", "consumer", c.Consumer, "panic", p)
		}
		if o.kind != done {
			span.SetStatus(codes.Error, o.String())
		}
	}()
	return m, c.Handle(ctx, m)
}

// awaitReady waits until the dependencies answer again.
func (c *consuming) awaitReady(ctx context.Context) {
	if c.Ready == nil {
		return
	}
	pause := newPause(200*time.Millisecond, 5*time.Second)
	for ctx.Err() == nil {
		if err := c.Ready(ctx); err == nil {
			return
		}
		pause.wait(ctx)
	}
}

// pause is a wait that doubles up to a maximum.
type pause struct{ first, most, now time.Duration }

func newPause(first, most time.Duration) *pause { return &pause{first: first, most: most, now: first} }

func (p *pause) reset() { p.now = p.first }

func (p *pause) wait(ctx context.Context) {
	t := time.NewTimer(p.now)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	p.now = min(2*p.now, p.most)
}
