package world

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// Play plays one seed in a bubble of its own, where time is virtual. A seed in which something waits for ever is a
// violation too.
func Play(t *testing.T, o Options) (res Result) {
	defer func() {
		if v := recover(); v != nil {
			res.Violations = append(res.Violations, Violation{Promise: "panic", Text: fmt.Sprint(v)})
		}
	}()
	synctest.Test(t, func(*testing.T) { res = Run(o) })
	return res
}
