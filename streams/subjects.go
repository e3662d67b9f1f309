package streams

import (
	"fmt"
	"strings"
)

// The streams.
const (
	Deliveries = "DELIVERIES"
	Runs       = "RUNS"
	Fixes      = "FIXES"
	Events     = "EVENTS"
	DeadStream = "DEAD"
	Advisories = "ADVISORIES"
)

// The durable consumers, by the name of the service that they feed.
const (
	ThrottleConsumer  = "throttle"
	RunnerConsumer    = "runner"
	PublisherConsumer = "publisher"
	MoverConsumer     = "mover"
)

// advisorySubject is where the server says that it has given up delivering a message. The advisory carries no
// body: it names stream, consumer and sequence.
const advisorySubject = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"

// WakeSubject is a plain NATS subject (no stream): a hint to the scheduler that a slot is free or a run is new.
const WakeSubject = "wake.scheduler"

// DeliverySubject is where a webhook delivery is published. An empty owner or name becomes "_": an event that
// belongs to no repository.
func DeliverySubject(provider, owner, name string) string {
	return subject("deliveries", provider, owner, name)
}

// RunSubject is where a run's doorbell is rung.
func RunSubject(provider, owner, name string) string {
	return subject("runs.ready", provider, owner, name)
}

// FixSubject is where the doorbell of a verified fix is rung.
func FixSubject(provider, owner, name string) string {
	return subject("fixes.ready", provider, owner, name)
}

// EventSubject is where an event of this kind, such as "run.ready", is published.
func EventSubject(kind, provider, owner, name string) string {
	return subject("events."+kind, provider, owner, name)
}

func subject(prefix, provider, owner, name string) string {
	return prefix + "." + Token(provider) + "." + Token(owner) + "." + Token(name)
}

// Token escapes a name as one subject token: what NATS gives a meaning (`.`, `*`, `>`), `%`, `/`, blanks and
// everything outside printable ASCII become %XX. An empty name becomes "_". Letters keep their case.
func Token(name string) string {
	if name == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c <= ' ' || c >= 0x7f || strings.IndexByte(".*>%/", c) >= 0, name == "_":
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
