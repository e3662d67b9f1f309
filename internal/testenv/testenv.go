// Package testenv gives tests real services of their own: a database, a Redis, a NATS server each. It is for tests
// only.
//
// PostgreSQL and redis-server are taken from SRE_TEST_DATABASE_URL and SRE_TEST_REDIS_URL when these are set (make
// test sets them, to servers that all packages share); otherwise each test program starts private ones when it first
// needs them, and they end with it, however it ends. It promises that no test sees what another one wrote, and that a
// missing service is a failure, never a skip.
package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sre-agent/sre-agent/internal/embedded"
)

// The variables that name running servers; they must allow making databases and flushing numbered ones.
const (
	DatabaseURLVar = "SRE_TEST_DATABASE_URL"
	RedisURLVar    = "SRE_TEST_REDIS_URL"
)

const setUpWithin = 2 * time.Minute

// NATS starts a server of the test's own, with JetStream, and connects to it.
func NATS(t testing.TB) (string, *nats.Conn) {
	t.Helper()
	// Tests kill processes, not machines: what was written is there without a sync.
	srv, err := embedded.StartNATS(embedded.NATSOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	nc, err := nats.Connect(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return srv.URL(), nc
}

// Eventually polls ok until it holds, and fails the test when it does not within the deadline.
func Eventually(t testing.TB, within time.Duration, ok func() bool) {
	t.Helper()
	if !poll(within, ok) {
		t.Fatalf("not so within %s", within)
	}
}

func poll(within time.Duration, ok func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(within)
	defer late.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			return ok()
		}
	}
	return true
}

// Canary is a new fake secret: hand it in where a secret goes, and look for it wherever none may come out.
func Canary() string { return "canary" + randomName(20) }

// randomName is n random bytes in hexadecimal.
func randomName(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func setUpContext(t testing.TB) (context.Context, context.CancelFunc) {
	// Not t.Context(): a server that is started for one test serves the next ones too.
	return context.WithTimeout(context.WithoutCancel(t.Context()), setUpWithin)
}
