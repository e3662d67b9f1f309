// Package lease keeps workers out of each other's way with Redis: locks, per-repository slots and rate
// reservations. Each operation is one Lua script on one key, judged by the server's clock, never the caller's.
//
// It promises that a lock has at most one holder, that a repository never has more live slots than its limit,
// and that reservations never admit more than burst + rate x time; and that whatever a crashed holder leaves
// behind is gone when its time to live is over. It does not promise that a holder still holds: Redis can lose
// its memory, so the database's fence judges every write.
//
// Every operation but Rate.Reserve may be repeated by the same holder after an error whose outcome is unknown.
package lease

import (
	"errors"
	"fmt"
	"time"
)

// ErrLost says that the caller no longer holds what it wanted to renew: it expired, or somebody else has it.
var ErrLost = errors.New("lease: lost")

// millis turns a time to live into whole milliseconds for Redis; less than one is a mistake of the caller.
func millis(ttl time.Duration) (int64, error) {
	if ttl < time.Millisecond {
		return 0, fmt.Errorf("lease: time to live %s is under a millisecond", ttl)
	}
	return ttl.Milliseconds(), nil
}
