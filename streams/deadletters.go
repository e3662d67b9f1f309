package streams

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const deadPrefix = "Sre-Dead-"

// Letter is a dead letter, as its headers tell.
type Letter struct {
	// Sequence is its place in DEAD, and its name for operators.
	Sequence uint64
	Time     time.Time
	Reason   string
	Error    string
	// Stream, Consumer, Subject, OriginSequence and MessageID are where it was given up.
	Stream         string
	Consumer       string
	Subject        string
	OriginSequence uint64
	MessageID      string
	// Provider and DeliveryID are a delivery's, RunID is a doorbell's.
	Provider   string
	DeliveryID string
	RunID      int64
	Bytes      int
}

// OpenLetter is a dead letter with its headers and, where it can be read, its body.
type OpenLetter struct {
	Letter
	Header  nats.Header
	Body    []byte
	BodyErr error
}

func letterOf(k Kept) Letter {
	h := k.Header
	l := Letter{
		Sequence: k.Sequence, Time: k.Time, Reason: h.Get(HdrDeadReason), Error: h.Get(HdrDeadError), Stream: h.Get(HdrDeadStream),
		Consumer: h.Get(HdrDeadConsumer), Subject: strings.TrimPrefix(k.Subject, "dead."), MessageID: h.Get(HdrDeadID),
		Provider: h.Get(HdrProvider), DeliveryID: h.Get(HdrDeliveryID), Bytes: k.Bytes,
	}
	// Both are only shown; what is no number is none.
	l.OriginSequence, _ = strconv.ParseUint(h.Get(HdrDeadSequence), 10, 64)
	l.RunID, _ = strconv.ParseInt(h.Get(hdrRunID), 10, 64)
	return l
}

// Letters visits the dead letters, the oldest first, until visit says that it wants no more.
func (b *Bus) Letters(ctx context.Context, visit func(Letter) (more bool, err error)) error {
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
	return b.scan(ctx, DeadStream, cfg, func(k Kept) (bool, error) { return visit(letterOf(k)) })
}

// Letter opens one dead letter, or says ErrGone.
func (b *Bus) Letter(ctx context.Context, sequence uint64) (OpenLetter, error) {
	raw, err := b.get(ctx, DeadStream, sequence)
	if err != nil {
		return OpenLetter{}, err
	}
	l := openLetter(raw)
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	if l.Body, err = b.bodies.unpack(ctx, raw.Header, raw.Data); err != nil && !errors.Is(err, errBody) {
		return l, err
	}
	l.BodyErr = err
	return l, nil
}

func openLetter(raw *jetstream.RawStreamMsg) OpenLetter {
	k := Kept{Stream: DeadStream, Sequence: raw.Sequence, Time: raw.Time, Subject: raw.Subject, Header: raw.Header, Bytes: len(raw.Data)}
	return OpenLetter{Letter: letterOf(k), Header: raw.Header}
}

// ReplayLetter puts the message of a dead letter back into its stream, records who did it, and removes the letter.
//
// The message id is made of the letter's place and time. If the process dies after the stream has the message and
// before the letter is gone, the letter is still there, and replaying it again is, within the stream's duplicate
// window, the same message: duplicate says so.
func (b *Bus) ReplayLetter(ctx context.Context, sequence uint64, by By) (duplicate bool, err error) {
	raw, err := b.get(ctx, DeadStream, sequence)
	if err != nil {
		return false, err
	}
	l := openLetter(raw)
	if !replayable(l.Stream, l.Subject) {
		return false, fmt.Errorf("dead letter %d can't be put back: stream %q does not take subject %q", sequence, l.Stream, l.Subject)
	}
	// The time keeps letters of a DEAD stream that was made anew apart from those of the old one.
	id := fmt.Sprintf("replay-dead-%d-%d", sequence, l.Time.UnixNano())
	if duplicate, err = b.putBack(ctx, raw, l.Stream, l.Subject, id, DeadStream); err != nil {
		return false, err
	}
	if err := b.Record(ctx, l.event("dead.replayed"), by); err != nil {
		return duplicate, fmt.Errorf("dead letter %d is put back, and kept because that could not be recorded: %w", sequence, err)
	}
	if err := b.removeLetter(ctx, sequence); err != nil {
		return duplicate, fmt.Errorf("dead letter %d is put back, but not removed: %w", sequence, err)
	}
	return duplicate, nil
}

// DropLetter removes a dead letter for good. Who did it and why is recorded first, or nothing is removed.
func (b *Bus) DropLetter(ctx context.Context, sequence uint64, by By) error {
	raw, err := b.get(ctx, DeadStream, sequence)
	if err != nil {
		return err
	}
	l := openLetter(raw)
	if err := b.Record(ctx, l.event("dead.dropped"), by); err != nil {
		return err
	}
	return b.removeLetter(ctx, sequence)
}

func (b *Bus) removeLetter(ctx context.Context, sequence uint64) error {
	stream, err := b.stream(ctx, DeadStream)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	if err := stream.DeleteMsg(ctx, sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("remove dead letter %d: %w", sequence, err)
	}
	return nil
}

func (l Letter) event(kind string) Event {
	e := Event{Kind: kind, RunID: l.RunID, DeliveryID: l.DeliveryID, Reason: l.Reason}
	e.Provider, e.Owner, e.Name = repositoryOf(l.Subject)
	e.Detail = fmt.Sprintf("%s/%d", DeadStream, l.Sequence)
	return e
}

// replayable says whether a subject belongs to a stream that a service works.
func replayable(stream, subject string) bool {
	prefixes := map[string]string{Deliveries: "deliveries.", Runs: "runs.ready.", Fixes: "fixes.ready."}
	prefix, ok := prefixes[stream]
	return ok && strings.HasPrefix(subject, prefix)
}
