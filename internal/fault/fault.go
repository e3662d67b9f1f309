// Package fault says of an error whether trying again can help. It is decided once, at the edge where the
// error came in; everything above only asks.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Permanent is an error that trying again cannot mend, with a reason from a small, closed set that people and
// metrics read, such as "repository_not_found".
type Permanent struct {
	Reason string
	Err    error
}

func (p *Permanent) Error() string {
	if p.Err == nil {
		return p.Reason
	}
	return fmt.Sprintf("%s: %v", p.Reason, p.Err)
}

func (p *Permanent) Unwrap() error { return p.Err }

// Perm makes err permanent under the reason. A nil err is allowed: the reason says it all.
func Perm(reason string, err error) error { return &Permanent{Reason: reason, Err: err} }

// Permf makes a permanent error with a formatted message.
func Permf(reason, format string, args ...any) error {
	return &Permanent{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Reason returns the reason of a permanent error, and false for an error that may pass when tried again.
func Reason(err error) (string, bool) {
	var p *Permanent
	if errors.As(err, &p) {
		return p.Reason, true
	}
	return "", false
}

// RetryAfter is how long whoever failed asked us to wait before the next try, or 0.
func RetryAfter(err error) time.Duration {
	var hint interface{ RetryAfter() time.Duration }
	if errors.As(err, &hint) {
		return hint.RetryAfter()
	}
	return 0
}
