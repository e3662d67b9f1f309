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
	senders map[Severity]*router.ServiceRouter
	limits  map[Severity]*limit
	wait    func(context.Context, time.Duration)
}

// New returns a notifier. An address that is no service's is an error that does not show it.
func New(o Options) (*Notifier, error) {
	n := &Notifier{senders: map[Severity]*router.ServiceRouter{}, limits: map[Severity]*limit{}, wait: o.Wait}
	if n.wait == nil {
		n.wait = rest
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for severity, addresses := range o.Receivers {
		for i, address := range addresses {
			if _, err := shoutrrr.CreateSender(address); err != nil {
				service, _, named := strings.Cut(address, "://")
				if !named {
					service = "no service"
				}
				return nil, fmt.Errorf("receiver %d for %s (%.20s) is no address that can be told", i+1, severity, service)
			}
		}
		if len(addresses) == 0 {
			continue
		}
		sender, err := shoutrrr.CreateSender(addresses...)
		if err != nil {
			return nil, fmt.Errorf("the receivers for %s can't be told", severity)
		}
		n.senders[severity], n.limits[severity] = sender, newLimit(o.PerMinute, o.Now)
	}
	return n, nil
}

// Tells says whether anybody is told of a severity.
func (n *Notifier) Tells(s Severity) bool { return n.senders[s] != nil }

// Notify tells, unless the minute is full. The error says how many receivers were not reached, and no more.
func (n *Notifier) Notify(ctx context.Context, s Severity, text string) error {
	if !n.Tells(s) {
		return nil
	}
	ok, left := n.limits[s].take()
	if !ok {
		return nil
	}
	text = Plain(text)
	if left > 0 {
		text += fmt.Sprintf("\n(%d more like this were not sent)", left)
	}
	failed := 0
	for try := range tries {
		if try > 0 {
			n.wait(ctx, between)
		}
		if failed = broken(n.senders[s].Send(text, nil)); failed == 0 || ctx.Err() != nil {
			break
		}
	}
	if failed > 0 {
		return errors.New(fmt.Sprint(failed) + " receivers could not be told")
	}
	return nil
}

func broken(errs []error) (n int) {
	for _, err := range errs {
		if err != nil {
			n++
		}
	}
	return n
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
