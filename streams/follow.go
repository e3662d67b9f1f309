package streams

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// followWait is how long one thing may be in hand before it is told once more.
	followWait = 2 * time.Minute
	// forgotten is when the server forgets a follower that does not come any more, as when it is switched off.
	forgotten = 7 * day
)

// Follow tells the events of these kinds ("run.blocked") that happen from now on, one at a time, until ctx ends. With
// dead it tells dead letters instead, as events of the kind "dead". It is for onlookers: name remembers how far it came,
// across restarts, and nobody waits for it. What is in hand when the process dies is told again, three times at most.
func (b *Bus) Follow(ctx context.Context, name string, kinds []string, dead bool, tell func(context.Context, Event)) {
	stream, subjects := Events, make([]string, 0, len(kinds))
	for _, kind := range kinds {
		subjects = append(subjects, "events."+kind+".>")
	}
	if dead {
		stream, subjects = DeadStream, []string{"dead.>"}
	}
	pause := newPause(100*time.Millisecond, 5*time.Second)
	var cons jetstream.Consumer
	for ctx.Err() == nil {
		var err error
		if cons == nil {
			if cons, err = b.follower(ctx, stream, name, subjects); err != nil {
				b.log.DebugContext(ctx, "nothing is followed", "stream", stream, "error", err)
				cons = nil
				pause.wait(ctx)
				continue
			}
		}
		raw, err := next(ctx, cons)
		if err != nil {
			cons = nil
			pause.wait(ctx)
			continue
		}
		pause.reset()
		if raw == nil {
			continue
		}
		if e, ok := happened(raw, dead); ok {
			tell(ctx, e)
		}
		if err := b.settle(context.WithoutCancel(ctx), raw, nil, name, Done()); err != nil {
			b.log.DebugContext(ctx, "told, and not settled", "stream", stream, "error", err)
		}
	}
}

// follower is no row of the table: it is there only while somebody follows, and its arrears are nobody's.
func (b *Bus) follower(ctx context.Context, stream, name string, subjects []string) (jetstream.Consumer, error) {
	cons, err := b.js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy, FilterSubjects: subjects,
		AckWait: followWait, MaxDeliver: 3, MaxAckPending: 1, InactiveThreshold: forgotten,
	})
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", stream, err)
	}
	return cons, nil
}

// happened reads what a message tells, whoever wrote it.
func happened(raw jetstream.Msg, dead bool) (e Event, ok bool) {
	if !dead {
		return e, json.Unmarshal(raw.Data(), &e) == nil
	}
	h := raw.Headers()
	e = Event{Kind: "dead", Reason: h.Get(HdrDeadReason), Detail: h.Get(HdrDeadStream) + ": " + h.Get(HdrDeadError)}
	if meta, err := raw.Metadata(); err == nil {
		e.Time = meta.Timestamp
	}
	return e, true
}
