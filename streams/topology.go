// Package streams is the only door between the services: the subjects, the table of streams and consumers,
// the envelope, publishing, consuming and dead letters.
//
// It promises that a message is settled in exactly one place, never negatively acknowledged, and acknowledged
// only after the handler's effects are committed; that a worker holds one message at a time and asks for the
// next only when it is free; and that what is given up ends in DEAD with its reason.
package streams

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Settings are the knobs that the table is derived from.
type Settings struct {
	MaxAttempts        int
	BaseBackoff        time.Duration
	MaxBackoff         time.Duration
	DeliveriesMaxBytes int64
	DeliveriesMaxAge   time.Duration
	Replicas           int
}

// Row is a stream of the table with its consumers.
type Row struct {
	Stream    jetstream.StreamConfig
	Consumers []jetstream.ConsumerConfig
}

const (
	day        = 24 * time.Hour
	deadMaxAge = 30 * day
	gib        = 1 << 30
)

// Topology is the one table of streams and consumers.
//
// The server reserves each stream's MaxBytes when it makes it: together they are DELIVERIES_MAX_BYTES and 2.6 GiB.
//
// Every consumer has explicit acks, a bound on deliveries and a BackOff: these bound crashes and poison
// messages, while attempts are counted in PostgreSQL. BackOff's first entry is also the time that a worker has
// to show a sign of life.
func Topology(s Settings) []Row {
	patient := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}
	// No row knows of a delivery that throttle had in hand when it was killed, so nobody but the stream brings it
	// again; for the other consumers the sweeper rings.
	prompt := append([]time.Duration{4 * time.Second, 4 * time.Second, 4 * time.Second}, patient...)
	return []Row{
		{
			Stream: jetstream.StreamConfig{
				Name: Deliveries, Subjects: []string{"deliveries.>"}, Description: "webhook deliveries as they came in",
				Retention: jetstream.LimitsPolicy, MaxAge: s.DeliveriesMaxAge, MaxBytes: s.DeliveriesMaxBytes,
				Discard: jetstream.DiscardNew, Duplicates: day,
			},
			Consumers: []jetstream.ConsumerConfig{consumer(ThrottleConsumer, 10, prompt)},
		},
		{
			Stream: jetstream.StreamConfig{
				Name: Runs, Subjects: []string{"runs.ready.>"}, Description: "doorbells: a run may start",
				Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxBytes: gib / 4, Duplicates: 2 * time.Hour,
				PersistMode: asyncPersist(s),
			},
			Consumers: []jetstream.ConsumerConfig{consumer(RunnerConsumer, s.MaxAttempts, s.backoffs())},
		},
		{
			Stream: jetstream.StreamConfig{
				Name: Fixes, Subjects: []string{"fixes.ready.>"}, Description: "doorbells: a verified fix may be published",
				Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxBytes: gib / 4, Duplicates: 2 * time.Hour,
				PersistMode: asyncPersist(s),
			},
			Consumers: []jetstream.ConsumerConfig{consumer(PublisherConsumer, 10, patient)},
		},
		{
			Stream: jetstream.StreamConfig{
				Name: Events, Subjects: []string{"events.>"}, Description: "what happened, for audit and the live view",
				Retention: jetstream.LimitsPolicy, MaxAge: 30 * day, MaxBytes: gib, Discard: jetstream.DiscardOld,
				PersistMode: asyncPersist(s),
			},
		},
		{
			Stream: jetstream.StreamConfig{
				Name: DeadStream, Subjects: []string{"dead.>"}, Description: "messages given up, with the reason",
				Retention: jetstream.LimitsPolicy, MaxAge: deadMaxAge, MaxBytes: gib, Discard: jetstream.DiscardNew, Duplicates: day,
			},
		},
		{
			Stream: jetstream.StreamConfig{
				Name: Advisories, Subjects: []string{advisorySubject}, Description: "the server's word that it has given up a message",
				Retention: jetstream.LimitsPolicy, MaxAge: 7 * day, MaxBytes: gib / 16, Discard: jetstream.DiscardOld,
			},
			Consumers: []jetstream.ConsumerConfig{consumer(MoverConsumer, 10, patient)},
		},
	}
}

func consumer(name string, maxDeliver int, backoff []time.Duration) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		MaxDeliver: maxDeliver, BackOff: backoff, MaxAckPending: 1000,
	}
}

// backoffs derives the runner's BackOff from the backoff knobs, never longer than its MaxDeliver. The first
// entry is the runner's sign-of-life time too, so it is at least ten seconds.
func (s Settings) backoffs() []time.Duration {
	out := make([]time.Duration, 0, s.MaxAttempts)
	d := max(s.BaseBackoff, 10*time.Second)
	for range min(s.MaxAttempts, 16) {
		out = append(out, d)
		d = max(min(2*d, s.MaxBackoff), d)
	}
	return out
}

// finish fills in what every stream of the table has alike.
func (s Settings) finish(c jetstream.StreamConfig) jetstream.StreamConfig {
	c.Storage = jetstream.FileStorage
	c.Replicas = max(1, s.Replicas)
	c.AllowDirect = true
	return c
}

// consumerOf finds a consumer's row in the table.
func consumerOf(rows []Row, name string) (stream string, c jetstream.ConsumerConfig, ok bool) {
	for _, r := range rows {
		for _, c := range r.Consumers {
			if c.Durable == name {
				return r.Stream.Name, c, true
			}
		}
	}
	return "", jetstream.ConsumerConfig{}, false
}

// asyncPersist lets a single server answer for a message before it is on disk. Events tell and decide nothing, and the
// sweeper rings again whoever's doorbell is lost; with sync_interval: always each would cost a sync that somebody waits
// for. A cluster's servers don't offer it.
func asyncPersist(s Settings) jetstream.PersistModeType {
	if s.Replicas > 1 {
		return jetstream.DefaultPersistMode
	}
	return jetstream.AsyncPersistMode
}
