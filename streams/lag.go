package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Lag is how a stream stands, and its consumer if it has one.
type Lag struct {
	Stream                    string
	Messages, Bytes, MaxBytes int64
	// MaxAge is how long a message is kept; 0 is without bound. Copies are on as many servers.
	MaxAge   time.Duration
	Copies   int
	Subjects []string

	Consumer string
	// Pending messages were not given to the consumer yet; those in AckPending are in hand, and Redelivered of them not for
	// the first time.
	Pending, AckPending, Redelivered int64
	// Finished counts all that was ever acknowledged in order, so that two looks tell a rate.
	Finished uint64
	// Workers are asking for work right now.
	Workers int
	// PausedFor is how long nothing is delivered because somebody paused the consumer; 0 when nobody did.
	PausedFor time.Duration

	// next is the place of the first message that is not finished, if there is one.
	next uint64
}

// Lags asks how each stream of the table stands: one question a stream and one a consumer, whatever they hold.
func (b *Bus) Lags(ctx context.Context) ([]Lag, error) {
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	out := make([]Lag, 0, len(b.rows))
	for _, r := range b.rows {
		stream, err := b.js.Stream(ctx, r.Stream.Name)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", r.Stream.Name, err)
		}
		info := stream.CachedInfo()
		lag := Lag{
			Stream: r.Stream.Name, Messages: int64(info.State.Msgs), Bytes: int64(info.State.Bytes), MaxBytes: info.Config.MaxBytes,
			MaxAge: info.Config.MaxAge, Copies: info.Config.Replicas, Subjects: info.Config.Subjects,
		}
		for _, c := range r.Consumers {
			cons, err := stream.Consumer(ctx, c.Durable)
			if err != nil {
				return nil, fmt.Errorf("consumer %s of %s: %w", c.Durable, r.Stream.Name, err)
			}
			now := cons.CachedInfo()
			lag.Consumer, lag.Pending, lag.AckPending, lag.Redelivered = c.Durable, int64(now.NumPending), int64(now.NumAckPending), int64(now.NumRedelivered)
			lag.Finished, lag.Workers, lag.PausedFor = now.AckFloor.Consumer, now.NumWaiting, now.PauseRemaining
			lag.next = max(now.AckFloor.Stream+1, info.State.FirstSeq)
		}
		out = append(out, lag)
	}
	return out, nil
}

// Oldest says when a stream took the oldest message that its consumer has not finished; zero when there is none.
func (b *Bus) Oldest(ctx context.Context, l Lag) (time.Time, error) {
	if l.Pending == 0 && l.AckPending == 0 {
		return time.Time{}, nil
	}
	stream, err := b.js.Stream(ctx, l.Stream)
	if err != nil {
		return time.Time{}, fmt.Errorf("stream %s: %w", l.Stream, err)
	}
	m, err := stream.GetMsg(ctx, l.next)
	switch {
	case err == nil:
		return m.Time, nil
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return stream.CachedInfo().State.FirstTime, nil // it was finished meanwhile, or removed from between the others
	default:
		return time.Time{}, fmt.Errorf("oldest message of %s: %w", l.Stream, err)
	}
}
