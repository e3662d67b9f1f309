package embedded

import (
	"context"
	"errors"
	"net"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
)

func testContext() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM)
}

func startNATS(t *testing.T, opts NATSOptions) *NATS {
	t.Helper()
	n, err := StartNATS(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Shutdown)
	return n
}

func natsStream(t *testing.T, n *NATS) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func TestNATSKeepsItsStreamsAcrossAShutdown(t *testing.T) {
	t.Parallel()
	opts := NATSOptions{Dir: t.TempDir(), SyncAlways: true, MaxPayload: 2 << 20}
	first := startNATS(t, opts)
	nc, js := natsStream(t, first)
	if nc.MaxPayload() != 2<<20 {
		t.Errorf("max payload %d", nc.MaxPayload())
	}
	if _, err := StartNATS(opts); !errors.Is(err, ErrInUse) {
		t.Errorf("a second server on the same directory: got %v, want ErrInUse", err)
	}
	if !strings.HasPrefix(first.URL(), "nats://127.0.0.1:") {
		t.Errorf("URL %q is not on loopback", first.URL())
	}
	if !first.srv.JetStreamConfig().SyncAlways {
		t.Error("the server does not sync each write")
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	first.Shutdown()

	_, js = natsStream(t, startNATS(t, opts))
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages after the restart, want 1", n)
	}
}

func TestNATSOnATakenPortFailsWithTheServersReason(t *testing.T) {
	t.Parallel()
	first := startNATS(t, NATSOptions{Dir: t.TempDir()})
	port := first.srv.Addr().(*net.TCPAddr).Port
	_, err := StartNATS(NATSOptions{Dir: t.TempDir(), Port: port})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

func redisClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestInProcessRedisHasAClockThatTicks(t *testing.T) {
	t.Parallel()
	r, err := StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	c := redisClient(t, r.URL())
	start := time.Now()
	if err := c.Set(t.Context(), "key", "v", 150*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	clock := func() int64 {
		us, err := c.Eval(t.Context(), `local t = redis.call('TIME') return t[1] * 1000000 + t[2]`, nil).Int64()
		if err != nil {
			t.Fatal(err)
		}
		return us
	}
	first := clock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for c.Exists(t.Context(), "key").Val() == 1 {
		<-tick.C
		if time.Since(start) > 10*time.Second {
			t.Fatal("the key never expired")
		}
	}
	if passed := time.Since(start); passed < 150*time.Millisecond {
		t.Errorf("the key expired after %s, want 150ms", passed)
	}
	if moved := time.Duration(clock()-first) * time.Microsecond; moved <= 0 || moved > time.Since(start) {
		t.Errorf("TIME in a script moved by %s while %s passed", moved, time.Since(start))
	}
}

func TestRedisServerOnAUnixSocketOnly(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{
		"a short directory":                 t.TempDir(),
		"a directory too deep for a socket": filepath.Join(t.TempDir(), strings.Repeat("deep/", 20)),
	} {
		r, err := StartRedisServer(t.Context(), dir, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := redisClient(t, r.URL())
		if port := c.ConfigGet(t.Context(), "port").Val()["port"]; port != "0" {
			t.Errorf("%s: it listens on port %q", name, port)
		}
		if err := r.Stop(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRedisServerThatIsMissingSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := StartRedisServer(t.Context(), t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "apt-get install redis-server") {
		t.Errorf("got %v", err)
	}
}

func TestChildrenGetNothingOfTheEnvironment(t *testing.T) {
	t.Setenv("SRE_TEST_SECRET_CANARY", "canary")
	r, err := StartRedisServer(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop() })
	for _, pair := range r.proc.cmd.Env {
		if strings.Contains(pair, "canary") {
			t.Errorf("the child got %s", pair)
		}
	}
	if len(r.proc.cmd.Env) == 0 {
		t.Error("an empty Env means the parent's environment")
	}
}
