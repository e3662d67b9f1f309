package ingest

import (
	"sync"

	"github.com/sre-agent/sre-agent/internal/webhook"
)

// maxEvents bounds how many names of events are remembered: a provider has some dozens.
const maxEvents = 256

// unused knows which of a provider's events nothing is ever done about, so that their senders can be told at once. What
// becomes of all others is decided where the records are. It is safe for concurrent use.
type unused struct {
	provider webhook.Provider

	mu     sync.RWMutex
	events map[string]string
}

func newUnused(p webhook.Provider) *unused { return &unused{provider: p, events: map[string]string{}} }

// reason is why an event is ignored whatever its body says, or "". It asks Parse with an empty body: an event that may
// matter misses its fields then.
func (u *unused) reason(event string) string {
	u.mu.RLock()
	reason, known := u.events[event]
	u.mu.RUnlock()
	if known {
		return reason
	}
	if e, err := u.provider.Parse(event, []byte("{}")); err == nil && e.Kind == webhook.Ignored {
		switch e.Reason {
		case webhook.IgnoredPing, webhook.IgnoredEventNotUsed, webhook.IgnoredUnknownEvent:
			reason = e.Reason
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.events) < maxEvents {
		u.events[event] = reason
	}
	return reason
}
