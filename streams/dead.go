package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The headers of a dead letter. Its body and other headers are the message's own, so that it can be put back.
const (
	HdrDeadReason   = "Sre-Dead-Reason"
	HdrDeadError    = "Sre-Dead-Error"
	HdrDeadStream   = "Sre-Dead-Stream"
	HdrDeadSequence = "Sre-Dead-Sequence"
	HdrDeadConsumer = "Sre-Dead-Consumer"
	HdrDeadSubject  = "Sre-Dead-Subject"
	HdrDeadID       = "Sre-Dead-Id"
)

// publishDead puts a message into DEAD. The id names stream, sequence and consumer: a second try is the same
// dead letter.
func (b *Bus) publishDead(ctx context.Context, m *Message, consumer, reason, text string) error {
	h := maps.Clone(m.Header)
	if h == nil {
		h = nats.Header{}
	}
	h.Set(HdrDeadReason, reason)
	h.Set(HdrDeadError, singleLine(text))
	h.Set(HdrDeadStream, m.Stream)
	h.Set(HdrDeadSequence, strconv.FormatUint(m.Sequence, 10))
	h.Set(HdrDeadConsumer, consumer)
	h.Set(HdrDeadSubject, m.Subject)
	h.Set(HdrDeadID, m.ID)
	h.Set(nats.MsgIdHdr, fmt.Sprintf("dead-%s-%s-%d", m.Stream, consumer, m.Sequence))
	h.Del(nats.ExpectedStreamHdr)
	// A body that was unpacked is packed again; one that could not be read travels as it came.
	body := m.Body
	if h.Get(hdrObject) != "" {
		body = nil
	} else if !m.packed {
		h.Del(hdrEncoding)
		var err error
		if body, err = b.bodies.pack(ctx, h.Get(nats.MsgIdHdr), h, body, nil); err != nil {
			return err
		}
	}
	_, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: "dead." + m.Subject, Header: h, Data: body})
	return err
}

// singleLine makes a text fit for a header.
func singleLine(s string) string {
	out := []byte(s)
	for i, c := range out {
		if c < ' ' || c == 0x7f {
			out[i] = ' '
		}
	}
	return string(out)
}

// ReasonMaxDeliveries is the reason of a message that the server gave up delivering.
const ReasonMaxDeliveries = "max_deliveries"

// advisory is the server's word that it has given up a message.
type advisory struct {
	Stream     string `json:"stream"`
	Consumer   string `json:"consumer"`
	StreamSeq  uint64 `json:"stream_seq"`
	Deliveries uint64 `json:"deliveries"`
}

// MoveExhausted turns the server's max-deliveries advisories into dead letters, until ctx ends. note, when not
// nil, is told of each message before it is moved, so that the record says so too.
func (b *Bus) MoveExhausted(ctx context.Context, note func(context.Context, *Message) error) error {
	w := Worker{Consumer: MoverConsumer, Workers: 1, Grace: publishWait, Ready: b.Ready}
	c := &consuming{bus: b, Worker: w, stream: Advisories, beat: publishWait}
	pause := newPause(publishWait/50, publishWait)
	for ctx.Err() == nil {
		cons, err := b.js.Consumer(ctx, Advisories, MoverConsumer)
		if err != nil {
			pause.wait(ctx)
			continue
		}
		raw, err := next(ctx, cons)
		if err != nil {
			pause.wait(ctx)
			continue
		}
		pause.reset()
		if raw == nil {
			continue
		}
		if err := b.moveOne(ctx, raw.Data(), note); err != nil {
			b.log.WarnContext(ctx, "exhausted message not moved", "error", err)
			c.awaitReady(ctx)
			continue
		}
		if err := b.settle(context.WithoutCancel(ctx), raw, nil, MoverConsumer, Done()); err != nil {
			b.log.WarnContext(ctx, "advisory not settled", "error", err)
		}
	}
	return nil
}

func (b *Bus) moveOne(ctx context.Context, body []byte, note func(context.Context, *Message) error) error {
	var a advisory
	if err := json.Unmarshal(body, &a); err != nil || a.Stream == "" {
		b.log.WarnContext(ctx, "unreadable advisory dropped", "error", err)
		return nil
	}
	if _, _, ours := consumerOf(b.rows, a.Consumer); !ours || a.Stream == Advisories {
		return nil
	}
	stream, err := b.js.Stream(ctx, a.Stream)
	if err != nil {
		return fmt.Errorf("stream %s: %w", a.Stream, err)
	}
	raw, err := stream.GetMsg(ctx, a.StreamSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // acknowledged late, or aged out
	}
	if err != nil {
		return fmt.Errorf("message %d of %s: %w", a.StreamSeq, a.Stream, err)
	}
	m, _ := open(raw.Subject, raw.Header, raw.Data)
	m.Stream, m.Sequence, m.Deliveries = a.Stream, a.StreamSeq, a.Deliveries
	if body, err := b.bodies.unpack(ctx, m.Header, m.Body); err == nil {
		m.Body, m.packed = body, false
	} else if !errors.Is(err, errBody) {
		return err
	}
	if note != nil {
		if err := note(ctx, m); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("delivered %d times without a result", a.Deliveries)
	if err := b.publishDead(ctx, m, a.Consumer, ReasonMaxDeliveries, text); err != nil {
		return err
	}
	if a.Stream == Deliveries {
		return nil // kept by its limits, for inspection and replay
	}
	if err := stream.DeleteMsg(ctx, a.StreamSeq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("remove message %d of %s: %w", a.StreamSeq, a.Stream, err)
	}
	return nil
}
