package streams

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Outcome is what a handler says became of a message. There is no negative acknowledgement: waiting is a row
// in PostgreSQL, never a message that is held.
type Outcome struct {
	kind   outcomeKind
	reason string
	err    error
}

type outcomeKind int

const (
	leave outcomeKind = iota
	done
	dead
)

// Done says that the message's effects are committed: it is acknowledged, and the ack confirmed.
func Done() Outcome { return Outcome{kind: done} }

// Leave says that a dependency failed: no ack, BackOff brings the message again, and the consumer stops
// fetching until its dependencies answer, so that an outage burns no deliveries.
func Leave(err error) Outcome { return Outcome{kind: leave, err: err} }

// Dead says that the message can never be handled: it goes to DEAD with the reason.
func Dead(reason string, err error) Outcome { return Outcome{kind: dead, reason: reason, err: err} }

// Left says whether the message is left for another try.
func (o Outcome) Left() bool { return o.kind == leave }

func (o Outcome) String() string {
	switch o.kind {
	case done:
		return "done"
	case dead:
		return fmt.Sprintf("dead(%s): %v", o.reason, o.err)
	default:
		return fmt.Sprintf("leave: %v", o.err)
	}
}

// settle is the one place where a message is acknowledged or terminated.
func (b *Bus) settle(ctx context.Context, raw jetstream.Msg, m *Message, consumer string, o Outcome) error {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	switch o.kind {
	case done:
		if err := raw.DoubleAck(ctx); err != nil {
			return fmt.Errorf("ack: %w", err)
		}
	case dead:
		if err := b.publishDead(ctx, m, consumer, o.reason, errText(o.err)); err != nil {
			return fmt.Errorf("dead letter: %w", err)
		}
		if err := raw.TermWithReason(o.reason); err != nil {
			return fmt.Errorf("term: %w", err)
		}
	case leave:
	}
	return nil
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	const most = 1000
	s := err.Error()
	if len(s) > most {
		s = s[:most]
	}
	return s
}

// heartbeat tells the server every interval that the message is in good hands, until stop is called.
func heartbeat(raw jetstream.Msg, every time.Duration) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = raw.InProgress() // the next one may get through; if none does, the message comes again
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}
