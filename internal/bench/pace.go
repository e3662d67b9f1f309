package bench

import "time"

// Pace says when each request is due. The zero rate is no pace: each is due at once.
type Pace struct {
	Start time.Time
	// Rate is requests a second.
	Rate float64
}

// Due is when the n-th request, from 0, is to be sent. It does not depend on what became of those before.
func (p Pace) Due(n int) time.Time {
	if p.Rate <= 0 {
		return p.Start
	}
	return p.Start.Add(time.Duration(float64(n) / p.Rate * float64(time.Second)))
}

// Count is how many requests are due within d.
func (p Pace) Count(d time.Duration) int { return int(p.Rate * d.Seconds()) }
