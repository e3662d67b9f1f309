package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// HdrReplayOf names the message that this one was put back from: STREAM/sequence.
const HdrReplayOf = "Sre-Replay-Of"

// ErrGone says that a stream no longer keeps a message, or the object store its body.
var ErrGone = errors.New("gone")

// Kept is a message that a stream keeps, as its headers tell.
type Kept struct {
	Stream   string
	Sequence uint64
	// Time is when the stream took it.
	Time    time.Time
	Subject string
	Header  nats.Header
	// Bytes is the size of its body as it is kept.
	Bytes int
}

// Selection says which deliveries are meant; what is zero does not narrow. Owner and Name go together.
type Selection struct {
	Provider, Owner, Name string
	// Since and Until bound the time at which the stream took a delivery.
	Since, Until time.Time
	// IDs are delivery ids.
	IDs []string
}

func (s Selection) subject() string {
	switch {
	case s.Name != "" && s.Provider == "":
		return "deliveries.*." + Token(s.Owner) + "." + Token(s.Name)
	case s.Name != "":
		return DeliverySubject(s.Provider, s.Owner, s.Name)
	case s.Provider != "":
		return "deliveries." + Token(s.Provider) + ".>"
	default:
		return ""
	}
}

func (s Selection) config() jetstream.OrderedConsumerConfig {
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
	if !s.Since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &s.Since
	}
	if subject := s.subject(); subject != "" {
		cfg.FilterSubjects = []string{subject}
	}
	return cfg
}

// SelectDeliveries visits the selected deliveries that the stream keeps, the oldest first, until visit says that
// it wants no more. A delivery that is there several times, because it was replayed before, is visited once.
func (b *Bus) SelectDeliveries(ctx context.Context, sel Selection, visit func(Kept) (more bool, err error)) error {
	seen := map[string]bool{}
	return b.scan(ctx, Deliveries, sel.config(), func(k Kept) (bool, error) {
		if !sel.Until.IsZero() && k.Time.After(sel.Until) {
			return false, nil
		}
		id := k.Header.Get(HdrDeliveryID)
		if len(sel.IDs) > 0 && !slices.Contains(sel.IDs, id) {
			return true, nil
		}
		key := k.Header.Get(HdrProvider) + "/" + id
		if id != "" && seen[key] {
			return true, nil
		}
		seen[key] = true
		return visit(k)
	})
}

// ReplayDelivery publishes a delivery that the stream keeps once more. The nonce names the replay: within the
// stream's duplicate window the same delivery under the same nonce is one message.
func (b *Bus) ReplayDelivery(ctx context.Context, sequence uint64, nonce string) error {
	raw, err := b.get(ctx, Deliveries, sequence)
	if err != nil {
		return err
	}
	_, err = b.putBack(ctx, raw, Deliveries, raw.Subject, fmt.Sprintf("replay-%d-%s", sequence, nonce), Deliveries)
	return err
}

// By says who does something, and why.
type By struct{ Actor, Why string }

// Record publishes an event about what a person did and, unlike Emit, waits until the stream has it.
func (b *Bus) Record(ctx context.Context, e Event, by By) error {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	e.Detail = strings.TrimSpace(e.Detail + " by " + by.Actor)
	if by.Why != "" {
		e.Detail += ": " + by.Why
	}
	body, err := json.Marshal(struct {
		Event
		Actor string `json:"actor"`
		Why   string `json:"why,omitempty"`
	}{e, by.Actor, by.Why})
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Kind, err)
	}
	m := Message{Type: TypeEvent, Time: e.Time, RunID: e.RunID}
	subject := EventSubject(e.Kind, e.Provider, e.Owner, e.Name)
	if _, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: m.header(), Data: body}); err != nil {
		return fmt.Errorf("record %s: %w", e.Kind, err)
	}
	return nil
}

// scan visits the headers of a stream's messages in their order, up to the last one that there is when it begins.
func (b *Bus) scan(ctx context.Context, name string, cfg jetstream.OrderedConsumerConfig, visit func(Kept) (bool, error)) error {
	stream, err := b.stream(ctx, name)
	if err != nil {
		return err
	}
	last := stream.CachedInfo().State.LastSeq
	cfg.HeadersOnly, cfg.InactiveThreshold = true, 6*publishWait
	cons, err := stream.OrderedConsumer(ctx, cfg)
	if err != nil {
		return fmt.Errorf("read stream %s: %w", name, err)
	}
	if cons.CachedInfo().NumPending == 0 {
		return nil
	}
	it, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("read stream %s: %w", name, err)
	}
	defer it.Stop()
	for {
		k, pending, err := nextKept(ctx, it)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && b.read(ctx, cons) {
			return nil // what was left has been removed meanwhile
		}
		if err != nil {
			return fmt.Errorf("read stream %s: %w", name, err)
		}
		if k.Sequence > last {
			return nil
		}
		more, err := visit(k)
		if err != nil || !more || pending == 0 || k.Sequence == last {
			return err
		}
	}
}

// read says whether a consumer has nothing left.
func (b *Bus) read(ctx context.Context, cons jetstream.Consumer) bool {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	info, err := cons.Info(ctx)
	return err == nil && info.NumPending == 0
}

func nextKept(ctx context.Context, it jetstream.MessagesContext) (k Kept, pending uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	raw, err := it.Next(jetstream.NextContext(ctx))
	if err != nil {
		return k, 0, err
	}
	meta, err := raw.Metadata()
	if err != nil {
		return k, 0, err
	}
	size, _ := strconv.Atoi(raw.Headers().Get(nats.MsgSize)) // only shown
	return Kept{
		Stream: meta.Stream, Sequence: meta.Sequence.Stream, Time: meta.Timestamp, Subject: raw.Subject(), Header: raw.Headers(), Bytes: size,
	}, meta.NumPending, nil
}

func (b *Bus) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	s, err := b.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: stream %s: %w", ErrUnavailable, name, err)
	}
	return s, nil
}

// get fetches one message whole, or ErrGone.
func (b *Bus) get(ctx context.Context, name string, sequence uint64) (*jetstream.RawStreamMsg, error) {
	stream, err := b.stream(ctx, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	raw, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("message %d of %s: %w", sequence, name, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: message %d of %s: %w", ErrUnavailable, sequence, name, err)
	}
	return raw, nil
}

// putBack publishes a kept message to a stream under a message id of its own, with its own headers and body.
func (b *Bus) putBack(ctx context.Context, raw *jetstream.RawStreamMsg, stream, subject, id, from string) (duplicate bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*publishWait)
	defer cancel()
	h := ownHeader(raw.Header)
	h.Set(nats.MsgIdHdr, id)
	h.Set(HdrReplayOf, fmt.Sprintf("%s/%d", from, raw.Sequence))
	body := raw.Data
	if h.Get(hdrObject) != "" { // the old object would be gone before the new message
		whole, err := b.bodies.unpack(ctx, h, body)
		if errors.Is(err, errBody) {
			return false, fmt.Errorf("%w: %w", ErrGone, err)
		}
		if err != nil {
			return false, err
		}
		h.Del(hdrObject)
		h.Del(hdrEncoding)
		if body, err = b.bodies.pack(ctx, id, h, whole, nil); err != nil {
			return false, fmt.Errorf("%w: publish %s: %w", ErrUnavailable, subject, err)
		}
	}
	ack, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: h, Data: body}, jetstream.WithExpectStream(stream))
	var api *jetstream.APIError
	switch {
	case err == nil:
		return ack.Duplicate, nil
	case errors.As(err, &api) && full(api):
		return false, fmt.Errorf("%w: publish %s: %w", ErrFull, subject, err)
	default:
		return false, fmt.Errorf("%w: publish %s: %w", ErrUnavailable, subject, err)
	}
}

// ownHeader is what a message was published with: without the server's headers and those of a dead letter.
func ownHeader(h nats.Header) nats.Header {
	own := nats.Header{}
	for name, values := range h {
		if !strings.HasPrefix(name, "Nats-") && !strings.HasPrefix(name, deadPrefix) {
			own[name] = values
		}
	}
	return own
}

// repositoryOf reads the last three tokens of a subject of ours: provider, owner and name.
func repositoryOf(subject string) (provider, owner, name string) {
	tokens := strings.Split(subject, ".")
	if len(tokens) < 4 {
		return "", "", ""
	}
	tokens = tokens[len(tokens)-3:]
	for i, t := range tokens {
		if tokens[i] = ""; t != "_" {
			tokens[i], _ = url.PathUnescape(t) // a token of somebody else's: shown as nothing
		}
	}
	return tokens[0], tokens[1], tokens[2]
}
