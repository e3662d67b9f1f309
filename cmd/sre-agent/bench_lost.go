package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/bench"
	"github.com/sre-agent/sre-agent/internal/embedded"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// counted counts what was accepted and where that was found again.
type counted struct{ accepted, inStream, inRecords, lost int }

const (
	seenInStream = 1 << iota
	seenInRecords
)

// check looks for every accepted delivery in the stream and, if they are kept, in the records.
func (b *intakeBench) check(ctx context.Context, requests bench.Requests, r *bench.Result) error {
	seen := make(map[string]uint8, len(r.Accepted))
	for _, n := range r.Accepted {
		seen[requests.Key(n)] = 0
	}
	mark := func(key string, where uint8) {
		if was, ok := seen[key]; ok {
			seen[key] = was | where
		}
	}
	if err := b.walkStream(ctx, func(key string) { mark(key, seenInStream) }); err != nil {
		return err
	}
	want := uint8(seenInStream)
	if b.records != nil {
		want |= seenInRecords
		if err := b.records.drain(ctx); err != nil {
			return err
		}
		if err := b.records.walk(ctx, func(key string) { mark(key, seenInRecords) }); err != nil {
			return err
		}
	}
	b.found.add(len(r.Accepted), seen, want)
	return nil
}

// add counts a round's accepted answers and where their deliveries were seen.
func (c *counted) add(accepted int, seen map[string]uint8, want uint8) {
	c.accepted += accepted
	// Two answers of 202 for one delivery: the second should have been told that it is a duplicate.
	c.lost += accepted - len(seen)
	for _, where := range seen {
		if where&seenInStream != 0 {
			c.inStream++
		}
		if where&seenInRecords != 0 {
			c.inRecords++
		}
		if where&want != want {
			c.lost++
		}
	}
}

// walkStream reads the id of every message in the stream.
func (b *intakeBench) walkStream(ctx context.Context, visit func(id string)) error {
	js := b.bus.JetStream()
	stream, err := js.Stream(ctx, streams.Deliveries)
	if err != nil {
		return err
	}
	left := stream.CachedInfo().State.Msgs
	if left == 0 {
		return nil
	}
	consumer, err := js.OrderedConsumer(ctx, streams.Deliveries, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for ; left > 0; left-- {
		m, err := messages.Next(jetstream.NextMaxWait(30 * time.Second))
		if err != nil {
			return fmt.Errorf("read the stream: %w, with %d messages left", err, left)
		}
		visit(m.Headers().Get(nats.MsgIdHdr))
	}
	return nil
}

// recorder records what is in the stream, as throttle does, in a private PostgreSQL.
type recorder struct {
	bench *intakeBench
	pg    *embedded.Postgres
	st    *store.Store
}

func startRecorder(ctx context.Context, b *intakeBench) (*recorder, error) {
	r := &recorder{bench: b}
	var err error
	if r.pg, err = embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: filepath.Join(b.root, "postgres")}); err != nil {
		return nil, err
	}
	// Its data may have had to go to another folder, which nobody else would remove.
	b.stops = append(b.stops, func() error { return errors.Join(r.pg.Stop(), os.RemoveAll(r.pg.Dir())) })
	if _, err := store.Migrate(ctx, r.pg.URL()); err != nil {
		return nil, err
	}
	if r.st, err = store.Open(ctx, r.pg.URL(), store.Options{MaxConns: 2}); err != nil {
		return nil, err
	}
	b.stops = append(b.stops, func() error { r.st.Close(); return nil })
	return r, nil
}

// drainStall is how long throttle may record nothing before it is taken to have ended.
const drainStall = 45 * time.Second

// drain runs throttle until it has acknowledged every message, or gets no further.
func (r *recorder) drain(ctx context.Context) error {
	r.bench.say("recording")
	p, err := startPart(ctx, r.bench.root, map[string]string{
		"NATS_URL": r.bench.nats.Address, "DATABASE_URL": r.pg.URL(), "HTTP_ADDR": "127.0.0.1:0", "LOG_LEVEL": "warn",
		// The rate of starts is not what this is about.
		"REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE": "100000", "SHUTDOWN_GRACE_SECONDS": "5",
	}, "throttle")
	if err != nil {
		return err
	}
	err = r.awaitDrained(ctx)
	return errors.Join(err, p.Stop())
}

func (r *recorder) awaitDrained(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	least, since := -1, time.Now()
	for {
		consumer, err := r.bench.bus.JetStream().Consumer(ctx, streams.Deliveries, streams.ThrottleConsumer)
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		left := int(info.NumPending) + info.NumAckPending
		if left == 0 {
			return nil
		}
		if least < 0 || left < least {
			least, since = left, time.Now()
		}
		if time.Since(since) > drainStall {
			return nil // what is missing is counted as lost
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// walk reads the ids of all recorded deliveries.
func (r *recorder) walk(ctx context.Context, visit func(id string)) error {
	rows, err := r.st.Pool().Query(ctx, `select provider || '-' || delivery_id from deliveries`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		visit(id)
	}
	return rows.Err()
}
