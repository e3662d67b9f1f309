package lease

import (
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/testenv"
)

func onRedisServer(t *testing.T) server {
	t.Helper()
	rdb := testenv.Redis(t)
	pass := func(d time.Duration) {
		until := serverTime(t, rdb).Add(d)
		testenv.Eventually(t, d+10*time.Second, func() bool { return serverTime(t, rdb).After(until) })
	}
	return server{rdb: rdb, ttl: 2 * time.Second, pass: pass, slack: 8 * time.Second}
}
