// Package redeliver finds the webhook deliveries that never reached us in what their provider lists, and asks the
// provider to send them again.
//
// It promises that a delivery is asked for only when none of its listed attempts succeeded and no record knows it; once
// in a round, and not more often than Limits allow. How often it was tried before is read from the provider's own list
// of attempts, so nothing is to be noted here: whoever dies between asking and anything else asks, at worst, twice, and
// the second arrival is a duplicate by its delivery id. It sends GET, and POST to addresses that end in /attempts or
// /resend, and nothing else.
package redeliver

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Attempt is one try of a provider to deliver one delivery.
type Attempt struct {
	// ID is the provider's name for the attempt, Delivery the one that all attempts of a delivery have in common: what
	// ingest knows a delivery by.
	ID, Delivery string
	Event        string
	// At is zero when the provider does not say.
	At time.Time
	// OK says that the receiver answered 2xx; Status is what it answered, or what the provider says instead.
	OK     bool
	Status string
}

// Hook is one webhook at a provider.
type Hook interface {
	// Provider is the name that deliveries are recorded under, Name the hook's address.
	Provider() string
	Name() string
	// PerMinute is how often the provider may be asked for a redelivery.
	PerMinute() int
	// Attempts hands over all attempts since a time, the newest first. whole is false when there were more of them
	// than it reads.
	Attempts(ctx context.Context, since time.Time, f func(Attempt)) (whole bool, err error)
	// Ask has the delivery of an attempt sent again, under the same delivery id.
	Ask(ctx context.Context, a Attempt) error
}

// Limits bound what is asked for.
type Limits struct {
	// Asks is how often one delivery may be asked for in all.
	Asks int
	// PerRound is how many deliveries of one hook are asked for in one round, the oldest first; never more than ten
	// minutes' worth, so that a slow hook does not keep the others waiting.
	PerRound int
	// Rest is the time from one attempt that was asked for to the next; it doubles each time.
	Rest time.Duration
}

// DefaultLimits spread eight requests for one delivery over two days and a half: GitHub forgets it after three.
func DefaultLimits() Limits { return Limits{Asks: 8, PerRound: 400, Rest: 30 * time.Minute} }

// What becomes of a delivery that failed.
const (
	Recorded  = "recorded"        // a record knows it: it came in, whatever the provider saw
	Asked     = "asked"           // it was asked for
	WouldAsk  = "would_ask"       // the same, in a round that only looks
	Elsewhere = "asked_elsewhere" // another hook of this round was asked for the same delivery
	Resting   = "resting"         // it was asked for not long ago
	GaveUp    = "gave_up"         // it was asked for as often as is allowed
	Later     = "later"           // the round is full, or has ended early
	Refused   = "refused"         // the provider would not send it again
)

// Case is a delivery none of whose attempts succeeded.
type Case struct {
	Delivery string    `json:"delivery_id"`
	Event    string    `json:"event,omitempty"`
	First    time.Time `json:"first_attempt"`
	Last     time.Time `json:"last_attempt"`
	Attempts int       `json:"attempts"`
	Status   string    `json:"last_status"`
	Verdict  string    `json:"verdict"`
	Detail   string    `json:"detail,omitempty"`

	newest Attempt
}

// gather groups attempts, the newest first, by their delivery, and returns those that never succeeded, the oldest first.
type gather struct {
	byDelivery map[string]*Case
	ok         map[string]bool
	order      []string // newest first
	attempts   int
}

func newGather() *gather { return &gather{byDelivery: map[string]*Case{}, ok: map[string]bool{}} }

func (g *gather) add(a Attempt) {
	g.attempts++
	if a.OK {
		g.ok[a.Delivery] = true
		delete(g.byDelivery, a.Delivery)
	}
	if g.ok[a.Delivery] {
		return
	}
	c := g.byDelivery[a.Delivery]
	if c == nil {
		c = &Case{Delivery: a.Delivery, Event: a.Event, Last: a.At, Status: a.Status, newest: a}
		g.byDelivery[a.Delivery] = c
		g.order = append(g.order, a.Delivery)
	}
	c.First = a.At
	c.Attempts++
}

func (g *gather) failed() []*Case {
	var out []*Case
	for _, id := range slices.Backward(g.order) {
		if c := g.byDelivery[id]; c != nil {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b *Case) int { return a.First.Compare(b.First) })
	return out
}

// judge says why a case is not to be asked for now, or "".
func (l Limits) judge(c *Case, known bool, now time.Time) string {
	asks := c.Attempts - 1 // the first attempt was the provider's own
	switch {
	case known:
		return Recorded
	case asks >= l.Asks:
		return GaveUp
	case asks > 0 && !c.Last.IsZero() && now.Before(c.Last.Add(l.Rest<<(asks-1))):
		return Resting
	}
	return ""
}

// fit says whether a delivery id is one that ingest could have taken.
func fit(id string) bool {
	return id != "" && len(id) <= 200 && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}
