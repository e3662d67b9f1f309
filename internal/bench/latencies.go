// Package bench is what a load generator for webhooks is made of: requests signed beforehand, a lean HTTP client, a
// pace, exact latencies, senders that never finish, and servers in processes of their own.
//
// It promises that a latency at a fixed rate counts from the moment at which the request was due, so that a server
// that stalls can't hide the requests which that kept from being sent; and that no two requests carry the same
// delivery but those that are meant to.
package bench

import (
	"slices"
	"time"
)

// Latencies keeps every value, so that its quantiles are exact.
type Latencies struct {
	values []time.Duration
	sorted bool
}

// Add adds a value.
func (l *Latencies) Add(d time.Duration) { l.values, l.sorted = append(l.values, d), false }

// Merge adds all of another's values.
func (l *Latencies) Merge(o *Latencies) { l.values, l.sorted = append(l.values, o.values...), false }

// Count is how many values there are.
func (l *Latencies) Count() int { return len(l.values) }

// Quantile is the least value that per thousand of all values do not exceed: 500 is the median, 1000 the longest. It is
// 0 when there are none.
func (l *Latencies) Quantile(perThousand int) time.Duration {
	if len(l.values) == 0 {
		return 0
	}
	if !l.sorted {
		slices.Sort(l.values)
		l.sorted = true
	}
	rank := (len(l.values)*perThousand + 999) / 1000
	return l.values[max(rank, 1)-1]
}
