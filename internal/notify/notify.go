// Package notify tells people what happened, through the services that shoutrrr knows: Slack, Teams, e-mail, PagerDuty, a
// webhook of one's own, and more.
//
// It promises that at most so many messages a minute go out for each severity, and that what is over that is counted and
// said with the next one; that a receiver has ten seconds and a second try, and holds up nobody but the next message;
// that no address of a receiver, which holds its secret, stands in an error; and that nothing in a text calls people or
// makes links by itself.
package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr"
	"github.com/nicholas-fedor/shoutrrr/pkg/router"
)

// Severity is how much a message matters.
type Severity string

// The severities.
const (
	Info    Severity = "info"    // a pull request is open
	Warning Severity = "warning" // a run is blocked
	Error   Severity = "error"   // a message was given up
)

const (
	tries   = 2
	between = 5 * time.Second
)

// Options says who is told what.
type Options struct {
	// Receivers are shoutrrr's addresses, such as slack://..., by severity.
	Receivers map[Severity][]string
	// PerMinute bounds the messages of each severity.
	PerMinute int
	// Now is the clock; nil means time.Now. Wait waits between two tries; nil means a timer.
	Now  func() time.Time
	Wait func(context.Context, time.Duration)
}

// Notifier tells. It is safe for concurrent use.
type Notifier struct {
	receivers map[Severity][]*router.ServiceRouter // each has one address
	limits    map[Severity]*limit
	wait      func(context.Context, time.Duration)
}

// New returns a notifier. An address that is no service's is an error that does not show it.
func New(o Options) (*Notifier, error) {
	n := &Notifier{receivers: map[Severity][]*router.ServiceRouter{}, limits: map[Severity]*limit{}, wait: o.Wait}
	if n.wait == nil {
		n.wait = rest
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for severity, addresses := range o.Receivers {
		for i, address := range addresses {
			receiver, err := shoutrrr.CreateSender(address)
			if err != nil {
				service, _, named := strings.Cut(address, "://")
				if !named {
					service = "no service"
				}
				return nil, fmt.Errorf("receiver %d for %s (%.20s) is no address that can be told", i+1, severity, service)
			}
			n.receivers[severity] = append(n.receivers[severity], receiver)
		}
		n.limits[severity] = newLimit(o.PerMinute, o.Now)
	}
	return n, nil
}

// Tells says whether anybody is told of a severity.
func (n *Notifier) Tells(s Severity) bool { return len(n.receivers[s]) > 0 }

// Notify tells, unless the minute is full. The error says how many receivers were not reached, and no more.
func (n *Notifier) Notify(ctx context.Context, s Severity, text string) error {
	if !n.Tells(s) {
		return nil
	}
	ok, left := n.limits[s].take()
	if !ok {
		return nil
	}
	text = plain(text)
	if left > 0 {
		text += fmt.Sprintf("\n(%d more like this were not sent)", left)
	}
	missed := n.receivers[s]
	for try := range tries {
		if try > 0 {
			n.wait(ctx, between)
		}
		if missed = tell(missed, text); len(missed) == 0 || ctx.Err() != nil {
			break
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("%d receivers could not be told", len(missed))
	}
	return nil
}

// tell tells all of them at once, and returns those that were not reached.
func tell(receivers []*router.ServiceRouter, text string) (missed []*router.ServiceRouter) {
	answers := make([][]error, len(receivers))
	var all sync.WaitGroup
	for i, receiver := range receivers {
		all.Go(func() { answers[i] = receiver.Send(text, nil) })
	}
	all.Wait()
	for i, receiver := range receivers {
		if errors.Join(answers[i]...) != nil {
			missed = append(missed, receiver)
		}
	}
	return missed
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
