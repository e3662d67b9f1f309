package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// KeepTopology makes streams and consumers anew when they are gone, as after a lost disk, until ctx ends. What is
// there and differs from the table is left to people.
func (b *Bus) KeepTopology(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !b.nc.IsConnected() {
			continue
		}
		if err := b.keepOnce(ctx); err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "streams not looked after; it is tried again", "error", err)
		}
	}
}

func (b *Bus) keepOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*publishWait)
	defer cancel()
	changes, err := Diff(ctx, b.js, b.settings)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.Missing() {
			b.log.WarnContext(ctx, "a stream or consumer is gone; it is made anew", "object", c.Object)
			_, err := Apply(ctx, b.js, b.settings)
			return err
		}
	}
	return nil
}

// WalkDone calls f for each message of a stream, from a sequence on and at most n, that a consumer is done with. It
// returns the sequence to go on from and the newest one of the stream. A message that can't be read is passed over.
func (b *Bus) WalkDone(ctx context.Context, stream, consumer string, from uint64, n int, f func(*Message) error) (next, last uint64, err error) {
	s, floor, err := b.doneTo(ctx, stream, consumer)
	if err != nil {
		return from, 0, err
	}
	state := s.CachedInfo().State
	next = max(from, state.FirstSeq)
	for ; n > 0 && next <= floor; next, n = next+1, n-1 {
		raw, err := s.GetMsg(ctx, next)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return next, state.LastSeq, fmt.Errorf("message %d of %s: %w", next, stream, err)
		}
		m, err := open(raw.Subject, raw.Header, raw.Data)
		if err != nil {
			continue
		}
		m.Stream, m.Sequence = stream, next
		body, err := b.bodies.unpack(ctx, m.Header, m.Body)
		if errors.Is(err, errBody) {
			continue
		}
		if err != nil {
			return next, state.LastSeq, err
		}
		m.Body = body
		if err := f(m); err != nil {
			return next, state.LastSeq, err
		}
	}
	return next, state.LastSeq, nil
}

// doneTo returns a stream as it is now, and the sequence up to which a consumer is done with it.
func (b *Bus) doneTo(ctx context.Context, name, consumer string) (s jetstream.Stream, floor uint64, err error) {
	if s, err = b.stream(ctx, name); err != nil {
		return nil, 0, err
	}
	cons, err := s.Consumer(ctx, consumer)
	if err != nil {
		return nil, 0, fmt.Errorf("consumer %s of %s: %w", consumer, name, err)
	}
	return s, cons.CachedInfo().AckFloor.Stream, nil
}
