package streams

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Change is a difference between the table and the server.
type Change struct {
	// Object is a stream, or "STREAM > consumer".
	Object string
	Field  string
	Server string
	Table  string
	// Refused says why the change is not made by itself: it would lose messages, or the server can't make it.
	Refused string
}

// Missing says that the server does not have the object at all.
func (c Change) Missing() bool { return c.Server == missing }

func (c Change) String() string {
	s := fmt.Sprintf("%s: %s: %s -> %s", c.Object, c.Field, c.Server, c.Table)
	if c.Refused != "" {
		s += " (refused: " + c.Refused + ")"
	}
	return s
}

// DriftError says that the server differs from the table in ways that are not mended without a person.
type DriftError struct{ Changes []Change }

func (e *DriftError) Error() string {
	lines := make([]string, 0, len(e.Changes))
	for _, c := range e.Changes {
		lines = append(lines, c.String())
	}
	return "the streams on the server differ from the table: " + strings.Join(lines, "; ")
}

// Apply makes the server's streams and consumers what the table says, and returns what it changed. It is
// idempotent and may run in several processes at once. When a change would lose messages, nothing at all is
// changed and a DriftError says so.
func Apply(ctx context.Context, js jetstream.JetStream, s Settings) ([]Change, error) {
	rows := Topology(s)
	changes, err := Diff(ctx, js, s)
	if err != nil {
		return nil, err
	}
	var refused []Change
	for _, c := range changes {
		if c.Refused != "" {
			refused = append(refused, c)
		}
	}
	if len(refused) > 0 {
		return nil, &DriftError{Changes: refused}
	}
	for _, r := range rows {
		cfg, err := keepPersist(ctx, js, s.finish(r.Stream))
		if err != nil {
			return nil, err
		}
		if _, err := js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return nil, fmt.Errorf("apply stream %s: %w", r.Stream.Name, err)
		}
		for _, c := range r.Consumers {
			if _, err := js.CreateOrUpdateConsumer(ctx, r.Stream.Name, c); err != nil {
				return nil, fmt.Errorf("apply consumer %s of %s: %w", c.Durable, r.Stream.Name, err)
			}
		}
	}
	if _, err := js.CreateOrUpdateObjectStore(ctx, bodiesConfig(s)); err != nil {
		return nil, fmt.Errorf("apply object store %s: %w", bodiesBucket, err)
	}
	return changes, nil
}

// keepPersist leaves a stream that exists its way of writing: the server refuses to change it, and both are right.
func keepPersist(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) (jetstream.StreamConfig, error) {
	if cfg.PersistMode == jetstream.DefaultPersistMode {
		return cfg, nil
	}
	stream, err := js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return cfg, nil
	}
	if err != nil {
		return cfg, fmt.Errorf("look at stream %s: %w", cfg.Name, err)
	}
	cfg.PersistMode = stream.CachedInfo().Config.PersistMode
	return cfg, nil
}

// Diff lists the differences between the table and the server.
func Diff(ctx context.Context, js jetstream.JetStream, s Settings) ([]Change, error) {
	var changes []Change
	for _, r := range Topology(s) {
		want := s.finish(r.Stream)
		stream, err := js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			changes = append(changes, Change{Object: want.Name, Field: "stream", Server: missing, Table: "exists"})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at stream %s: %w", want.Name, err)
		}
		changes = append(changes, diffStream(stream.CachedInfo().Config, want)...)
		for _, c := range r.Consumers {
			object := want.Name + " > " + c.Durable
			cons, err := stream.Consumer(ctx, c.Durable)
			if errors.Is(err, jetstream.ErrConsumerNotFound) {
				changes = append(changes, Change{Object: object, Field: "consumer", Server: missing, Table: "exists"})
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("look at consumer %s: %w", object, err)
			}
			changes = append(changes, diffConsumer(object, cons.CachedInfo().Config, c)...)
		}
	}
	return changes, nil
}

const missing = "missing"

// losing is why a smaller limit is refused.
const losing = "it would lose messages; change it by hand with the nats CLI if that is meant"

func diffStream(have, want jetstream.StreamConfig) []Change {
	d := differ{object: want.Name}
	gone := false
	for _, s := range have.Subjects {
		gone = gone || !slices.Contains(want.Subjects, s)
	}
	d.field("subjects", strings.Join(have.Subjects, " "), strings.Join(want.Subjects, " "), losingIf(gone))
	d.field("retention", have.Retention.String(), want.Retention.String(), "the server can't change it on a stream that exists")
	d.field("storage", have.Storage.String(), want.Storage.String(), "the server can't change it on a stream that exists")
	d.field("discard", have.Discard.String(), want.Discard.String(), losingIf(want.Discard == jetstream.DiscardOld))
	d.field("max_age", age(have.MaxAge), age(want.MaxAge), losingIf(smaller(int64(have.MaxAge), int64(want.MaxAge))))
	d.field("max_bytes", limit(have.MaxBytes), limit(want.MaxBytes), losingIf(smaller(have.MaxBytes, want.MaxBytes)))
	d.field("max_msgs", limit(have.MaxMsgs), limit(want.MaxMsgs), losingIf(smaller(have.MaxMsgs, want.MaxMsgs)))
	d.field("replicas", fmt.Sprint(have.Replicas), fmt.Sprint(want.Replicas), losingIf(have.Replicas > want.Replicas))
	if want.Duplicates != 0 {
		d.field("duplicate_window", have.Duplicates.String(), want.Duplicates.String(), "")
	}
	return d.changes
}

func diffConsumer(object string, have, want jetstream.ConsumerConfig) []Change {
	d := differ{object: object}
	d.field("ack_policy", have.AckPolicy.String(), want.AckPolicy.String(), "the server can't change it on a consumer that exists")
	d.field("deliver_policy", have.DeliverPolicy.String(), want.DeliverPolicy.String(), "the server can't change it on a consumer that exists")
	d.field("max_deliver", fmt.Sprint(have.MaxDeliver), fmt.Sprint(want.MaxDeliver), "")
	d.field("backoff", fmt.Sprint(have.BackOff), fmt.Sprint(want.BackOff), "")
	d.field("max_ack_pending", fmt.Sprint(have.MaxAckPending), fmt.Sprint(want.MaxAckPending), "")
	d.field("filter", have.FilterSubject, want.FilterSubject, losingIf(have.FilterSubject == ""))
	return d.changes
}

type differ struct {
	object  string
	changes []Change
}

func (d *differ) field(name, have, want, refused string) {
	if have != want {
		d.changes = append(d.changes, Change{Object: d.object, Field: name, Server: have, Table: want, Refused: refused})
	}
}

func losingIf(cond bool) string {
	if cond {
		return losing
	}
	return ""
}

// smaller compares limits of which zero and below mean "none".
func smaller(have, want int64) bool { return want > 0 && (have <= 0 || want < have) }

func age(d time.Duration) string {
	if d <= 0 {
		return "unlimited"
	}
	return d.String()
}

func limit(n int64) string {
	if n <= 0 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}
