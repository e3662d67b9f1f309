// Package run holds the rules of a run's life: its states, the reasons it may wait or end with, and when the
// next attempt may start. It is pure; internal/store keeps the rows and refuses what these rules forbid.
package run

import (
	"math"
	"time"
)

// State is where a run is in its life.
type State string

// The states. Published, Declined, Blocked, Superseded and Cancelled are ends.
const (
	Waiting    State = "waiting"
	Ready      State = "ready"
	Running    State = "running"
	Fixed      State = "fixed"
	Publishing State = "publishing"
	Published  State = "published"
	Declined   State = "declined"
	Blocked    State = "blocked"
	Superseded State = "superseded"
	Cancelled  State = "cancelled"
)

// Ended says whether nothing more will happen to a run in this state.
func (s State) Ended() bool {
	switch s {
	case Published, Declined, Blocked, Superseded, Cancelled:
		return true
	default:
		return false
	}
}

// The reasons to wait.
const (
	WaitNew         = "new"
	WaitRateLimited = "rate_limited"
	WaitNoSlot      = "no_slot"
	WaitBackoff     = "backoff"
	WaitCooldown    = "cooldown"
	WaitDependency  = "dependency"
	// WaitPRCap: the fix is verified, and one more pull request or comment would be too many just now.
	WaitPRCap = "pr_cap"
)

// Reasons that the state machine itself ends a run with.
const (
	// EndMaxAttempts: every attempt that the knobs allow has been used.
	EndMaxAttempts = "max_attempts"
	// EndDependency: something outside kept failing for longer than it is worth waiting.
	EndDependency = "dependency_failed"
)

// Limits are the knobs that say how often and how soon a run may be tried.
type Limits struct {
	MaxAttempts int
	BaseBackoff time.Duration
	MaxBackoff  time.Duration
	Cooldown    time.Duration
	// PerRepository is how many runs of one repository may be active at once.
	PerRepository int
	// Lease is how long a holder may be silent.
	Lease time.Duration
}

// Backoff is the rest after the end of attempt n (1 is the first): min(max, base·2^(n−1)).
func (l Limits) Backoff(n int) time.Duration {
	if n < 1 {
		return 0
	}
	d := float64(l.BaseBackoff) * math.Pow(2, float64(n-1))
	if d >= float64(l.MaxBackoff) {
		return l.MaxBackoff
	}
	return time.Duration(d)
}

// MaxTransient bounds how often a run is given back because something outside failed: with TransientDelay's
// ten minutes between tries it is about two days.
const MaxTransient = 300

// TransientDelay is how long a run rests before its (n+1)th try after something outside failed n times: 2 s,
// doubling up to ten minutes; hint, such as a Retry-After, may make it longer, up to an hour.
func TransientDelay(n int, hint time.Duration) time.Duration {
	d := 10 * time.Minute
	if n < 9 {
		d = min(d, 2*time.Second<<max(0, n))
	}
	return max(d, min(hint, time.Hour))
}
