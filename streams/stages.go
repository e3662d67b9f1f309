package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stage is what a stream's consumer has to do, as the server counts it.
type Stage struct {
	Stream   string
	Consumer string
	// Pending were never delivered, AckPending are in somebody's hand, Redelivered of those came again.
	Pending     uint64
	AckPending  int
	Redelivered int
	// Finished counts all that was ever acknowledged in order, so that two looks tell a rate.
	Finished uint64
	// Workers are asking for work right now.
	Workers int
	// PausedFor is how long nothing is delivered because somebody paused the consumer; 0 when nobody did.
	PausedFor time.Duration
	// Oldest is when the stream took the oldest message that is not finished; zero when there is none.
	Oldest time.Time
}

// Stages looks at every consumer of the table.
func (b *Bus) Stages(ctx context.Context) ([]Stage, error) {
	var out []Stage
	for _, r := range b.rows {
		for _, c := range r.Consumers {
			s, err := b.stage(ctx, r.Stream.Name, c.Durable)
			if err != nil {
				return nil, fmt.Errorf("consumer %s of %s: %w", c.Durable, r.Stream.Name, err)
			}
			out = append(out, s)
		}
	}
	return out, nil
}

func (b *Bus) stage(ctx context.Context, stream, consumer string) (Stage, error) {
	cons, err := b.js.Consumer(ctx, stream, consumer)
	if err != nil {
		return Stage{}, err
	}
	i := cons.CachedInfo()
	s := Stage{
		Stream: stream, Consumer: consumer, Pending: i.NumPending, AckPending: i.NumAckPending, Redelivered: i.NumRedelivered,
		Finished: i.AckFloor.Consumer, Workers: i.NumWaiting, PausedFor: i.PauseRemaining,
	}
	if s.Pending == 0 && s.AckPending == 0 {
		return s, nil
	}
	raw, err := b.js.Stream(ctx, stream)
	if err != nil {
		return s, err
	}
	state := raw.CachedInfo().State
	m, err := raw.GetMsg(ctx, max(i.AckFloor.Stream+1, state.FirstSeq))
	switch {
	case err == nil:
		s.Oldest = m.Time
	case errors.Is(err, jetstream.ErrMsgNotFound):
		s.Oldest = state.FirstTime // it was removed from between the others
	default:
		return s, err
	}
	return s, nil
}

// Server says which server answers, and how long one round trip takes.
func (b *Bus) Server() (version string, roundTrip time.Duration, err error) {
	rtt, err := b.nc.RTT()
	if err != nil {
		return "", 0, fmt.Errorf("NATS: %w", err)
	}
	return b.nc.ConnectedServerVersion(), rtt, nil
}
