package streams

import (
	"context"
	"fmt"
)

// Lag is how a stream stands, and its consumer if it has one.
type Lag struct {
	Stream                    string
	Messages, Bytes, MaxBytes int64
	Consumer                  string
	// Pending messages were not given to the consumer yet; those in AckPending are in hand, and Redelivered of them not for
	// the first time.
	Pending, AckPending, Redelivered int64
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
		lag := Lag{Stream: r.Stream.Name, Messages: int64(info.State.Msgs), Bytes: int64(info.State.Bytes), MaxBytes: info.Config.MaxBytes}
		for _, c := range r.Consumers {
			cons, err := stream.Consumer(ctx, c.Durable)
			if err != nil {
				return nil, fmt.Errorf("consumer %s of %s: %w", c.Durable, r.Stream.Name, err)
			}
			now := cons.CachedInfo()
			lag.Consumer, lag.Pending, lag.AckPending, lag.Redelivered = c.Durable, int64(now.NumPending), int64(now.NumAckPending), int64(now.NumRedelivered)
		}
		out = append(out, lag)
	}
	return out, nil
}
