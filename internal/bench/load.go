package bench

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Requests are the requests of one load, ready to be sent.
type Requests interface {
	// Len is how many there are.
	Len() int
	// Append appends the bytes of request n to buf.
	Append(buf []byte, n int) []byte
	// Key names the delivery that request n carries, as the stream's message id does.
	Key(n int) string
}

// Load says what is sent where.
type Load struct {
	// Address is host:port.
	Address     string
	Connections int
	Requests    Requests
	// Rate is requests a second over all connections; 0 is as many as are answered, for Duration.
	Rate     float64
	Duration time.Duration
	// Timeout is how long a sender waits for an answer.
	Timeout time.Duration
}

// Result is what became of a load.
type Result struct {
	// Accepted are the requests that were answered 202.
	Accepted []int
	// Duplicates were answered with another 2xx, Refused with anything else, Unanswered not at all.
	Duplicates, Refused, Unanswered int
	// Elapsed is from the first request to the last answer.
	Elapsed   time.Duration
	Latencies Latencies
}

// Rate is the deliveries, accepted or known, that were answered in a second.
func (r *Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(len(r.Accepted)+r.Duplicates) / r.Elapsed.Seconds()
}

// Non2xx is how many requests were not answered 2xx.
func (r *Result) Non2xx() int { return r.Refused + r.Unanswered }

// Run opens all connections, and then sends until the requests or the time are over. It returns what was measured up to
// then when ctx ends.
func (l Load) Run(ctx context.Context) (*Result, error) {
	conns := make([]*Conn, l.Connections)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	for i := range conns {
		var err error
		if conns[i], err = Dial(ctx, l.Address); err != nil {
			return nil, err
		}
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	results := make([]Result, l.Connections)
	pace := Pace{Start: time.Now(), Rate: l.Rate}
	for i, c := range conns {
		s := &sender{load: l, conn: c, pace: pace, next: &next, result: &results[i]}
		wg.Go(func() { s.run(ctx) })
	}
	wg.Wait()
	total := &Result{}
	for i := range results {
		r := &results[i]
		total.Accepted = append(total.Accepted, r.Accepted...)
		total.Duplicates += r.Duplicates
		total.Refused += r.Refused
		total.Unanswered += r.Unanswered
		total.Elapsed = max(total.Elapsed, r.Elapsed)
		total.Latencies.Merge(&r.Latencies)
	}
	slices.Sort(total.Accepted)
	return total, ctx.Err()
}

// sender uses one connection.
type sender struct {
	load   Load
	conn   *Conn
	pace   Pace
	next   *atomic.Int64
	result *Result
}

func (s *sender) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var buf []byte
	for {
		n := int(s.next.Add(1)) - 1
		if n >= s.load.Requests.Len() {
			return
		}
		buf = s.load.Requests.Append(buf[:0], n)
		from := time.Now()
		switch {
		case s.load.Rate > 0:
			due := s.pace.Due(n)
			if wait := due.Sub(from); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-ctx.Done():
				}
			}
			from = due
		case from.Sub(s.pace.Start) >= s.load.Duration:
			return
		}
		if ctx.Err() != nil {
			return
		}
		status, err := s.conn.Do(ctx, buf, s.load.Timeout)
		s.note(n, status, err, from, time.Now())
	}
}

func (s *sender) note(n, status int, err error, from, now time.Time) {
	r := s.result
	r.Elapsed = now.Sub(s.pace.Start)
	r.Latencies.Add(now.Sub(from))
	switch {
	case err != nil:
		r.Unanswered++
	case status == http.StatusAccepted:
		r.Accepted = append(r.Accepted, n)
	case status >= 200 && status < 300:
		r.Duplicates++
	default:
		r.Refused++
	}
}
