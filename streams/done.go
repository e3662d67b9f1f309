package streams

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ScanDone visits the headers of a stream's messages, from a sequence on and at most n, that a consumer is done with. It
// returns the sequence to go on from and the newest one of the stream. Unlike WalkDone it reads no bodies.
func (b *Bus) ScanDone(ctx context.Context, name, consumer string, from uint64, n int, visit func(Kept) error) (next, last uint64, err error) {
	s, err := b.stream(ctx, name)
	if err != nil {
		return from, 0, err
	}
	cons, err := s.Consumer(ctx, consumer)
	if err != nil {
		return from, 0, fmt.Errorf("consumer %s of %s: %w", consumer, name, err)
	}
	state, floor := s.CachedInfo().State, cons.CachedInfo().AckFloor.Stream
	next = max(from, state.FirstSeq)
	if next > floor {
		return next, state.LastSeq, nil
	}
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: next}
	seen := 0
	err = b.scan(ctx, name, cfg, func(k Kept) (bool, error) {
		if k.Sequence > floor {
			next = floor + 1
			return false, nil
		}
		if err := visit(k); err != nil {
			return false, err
		}
		seen++
		next = k.Sequence + 1
		return seen < n && k.Sequence < floor, nil
	})
	return next, state.LastSeq, err
}
