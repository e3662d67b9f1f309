package streams_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/streams"
)

// startGuarded starts a server on the configuration that is deployed, with its users, and returns its address.
func startGuarded(t *testing.T) string {
	t.Helper()
	setPasswords(t)
	t.Setenv("NATS_SERVER_NAME", "test")
	return startServer(t, "server.conf", func(*server.Options) {})
}

func setPasswords(t *testing.T) {
	t.Helper()
	t.Setenv("NATS_MONITOR", "127.0.0.1:-1")
	for _, r := range streams.Roles() {
		t.Setenv("NATS_"+strings.ToUpper(string(r))+"_PASSWORD", password(r))
	}
}

func startServer(t *testing.T, conf string, change func(*server.Options)) string {
	t.Helper()
	opts, err := server.ProcessConfigFile("../deploy/nats/" + conf)
	if err != nil {
		t.Fatal(err)
	}
	if !opts.SyncAlways {
		t.Errorf("%s does not sync each write", conf)
	}
	opts.Host, opts.Port, opts.StoreDir, opts.NoSigs, opts.NoLog = "127.0.0.1", server.RANDOM_PORT, t.TempDir(), true, true
	change(opts)
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return srv.ClientURL()
}

func password(r streams.Role) string { return "p-" + string(r) }

func busAs(t *testing.T, url string, r streams.Role) *streams.Bus {
	t.Helper()
	b, err := streams.Connect(streams.Options{
		Name: string(r), Role: r, URL: url, Login: streams.Login{User: string(r), Password: password(r)}, Settings: settings(),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// client is a bare connection of a role's user that remembers what it was refused.
type client struct {
	*nats.Conn
	mu      sync.Mutex
	refused []string
}

func clientAs(t *testing.T, url string, r streams.Role) *client {
	t.Helper()
	c := &client{}
	nc, err := nats.Connect(url, nats.UserInfo(string(r), password(r)), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if errors.Is(err, nats.ErrPermissionViolation) {
			c.refused = append(c.refused, err.Error())
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	c.Conn = nc
	t.Cleanup(nc.Close)
	return c
}

// violations are what the server refused since the last call, once it has answered for everything that was sent.
func (c *client) violations(t *testing.T) string {
	t.Helper()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	// The handler runs behind the answer, on a queue of its own; a last violation shows that it has run.
	sentinel := "sentinel." + nats.NewInbox()
	if err := c.Publish(sentinel, nil); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		c.mu.Lock()
		all := strings.Join(c.refused, "\n")
		c.mu.Unlock()
		if strings.Contains(all, sentinel) {
			c.mu.Lock()
			c.refused = nil
			c.mu.Unlock()
			return all
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the server did not refuse a subject that nobody has")
		}
	}
}

// concrete is a subject that a pattern allows.
func concrete(pattern string) string {
	return strings.NewReplacer("*", "x", ">", "x.y").Replace(pattern)
}

func allows(patterns []string, subject string) bool {
	for _, p := range patterns {
		if server.SubjectMatchesFilter(subject, p) {
			return true
		}
	}
	return false
}

func TestEachUserMayPublishWhatItsWorkNeedsAndNothingOfTheOthers(t *testing.T) {
	url := startGuarded(t)
	busAs(t, url, streams.ThrottleRole)
	all := []string{"$SYS.REQ.SERVER.PING", "$JS.API.STREAM.DELETE.DELIVERIES", "$JS.API.STREAM.PURGE.DELIVERIES", "$JS.API.CONSUMER.DELETE.RUNS.runner"}
	for _, r := range streams.Roles() {
		for _, p := range streams.AccessOf(r).Publish {
			all = append(all, concrete(p))
		}
	}
	for _, r := range streams.Roles() {
		c, own := clientAs(t, url, r), streams.AccessOf(r).Publish
		for _, subject := range all {
			if err := c.Publish(subject, []byte("{")); err != nil { // no request that the server would carry out
				t.Fatal(err)
			}
		}
		refused := c.violations(t)
		for _, subject := range all {
			if said := strings.Contains(refused, `"`+subject+`"`); said == allows(own, subject) {
				t.Errorf("%s to %s: refused: %v", r, subject, said)
			}
		}
	}
}

func TestNoServiceCanListenToWhatAnotherOneFetches(t *testing.T) {
	url := startGuarded(t)
	for _, r := range streams.Roles() {
		if r == streams.OperatorRole {
			continue
		}
		c := clientAs(t, url, r)
		subjects := []string{">", "_INBOX.>", "_INBOX.*.x", "deliveries.>", "runs.ready.>", "fixes.ready.>", "dead.>", "events.>", "$JS.API.>", "$JS.ACK.>"}
		for _, other := range streams.Roles() {
			if other != r {
				subjects = append(subjects, "_INBOX."+string(other)+".>")
			}
		}
		for _, subject := range subjects {
			if _, err := c.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
		}
		refused := c.violations(t)
		for _, subject := range subjects {
			if !strings.Contains(refused, `"`+subject+`"`) {
				t.Errorf("%s may subscribe to %s", r, subject)
			}
		}
	}
}

func TestAServiceWaitsForTheStreamsThatTheThrottleMakes(t *testing.T) {
	url := startGuarded(t)
	throttle := busAs(t, url, streams.ThrottleRole)
	waited := map[streams.Role]chan error{}
	for _, r := range []streams.Role{streams.IngestRole, streams.RunnerRole, streams.PublisherRole} {
		b, ended := busAs(t, url, r), make(chan error, 1)
		if err := b.Ready(t.Context()); err == nil {
			t.Errorf("%s is ready without a stream", r)
		}
		go func() { ended <- b.Await(t.Context()) }()
		waited[r] = ended
	}
	if _, err := throttle.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	for r, ended := range waited {
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", r, err)
		}
	}
	if changes, err := throttle.Apply(t.Context()); err != nil || len(changes) > 0 {
		t.Errorf("a second time: %v, %v", changes, err)
	}
}

func TestALargeBodyGoesItsWayUnderTheseRights(t *testing.T) {
	url := startGuarded(t)
	ingest, throttle := busAs(t, url, streams.IngestRole), busAs(t, url, streams.ThrottleRole)
	if _, err := throttle.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 3<<20)
	_, _ = rand.Read(body) // never fails
	for range 2 {          // a sender who did not hear the answer sends it again
		if _, err := ingest.Publish(t.Context(), delivery("large", body)); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan []byte, 1)
	consume(t, throttle, func(_ context.Context, m *streams.Message) streams.Outcome {
		got <- m.Body
		return streams.Done()
	}, nil)
	select {
	case b := <-got:
		if !bytes.Equal(b, body) {
			t.Errorf("%d bytes came of %d", len(b), len(body))
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the body did not come")
	}
	if _, err := ingest.JetStream().Stream(t.Context(), streams.Deliveries); err != nil {
		t.Errorf("ingest does not see its stream: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	bucket, err := ingest.JetStream().ObjectStore(short, "delivery_bodies")
	if err == nil {
		_, err = bucket.GetBytes(short, "large")
	}
	if err == nil || errors.Is(err, jetstream.ErrObjectNotFound) {
		t.Errorf("ingest read a body: %v", err)
	}
}

func TestWhatTheServerGivesUpIsMovedUnderTheseRights(t *testing.T) {
	url := startGuarded(t)
	throttle, runner, operator := busAs(t, url, streams.ThrottleRole), busAs(t, url, streams.RunnerRole), busAs(t, url, streams.OperatorRole)
	if _, err := throttle.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := operator.JetStream().UpdateConsumer(t.Context(), streams.Runs, jetstream.ConsumerConfig{
		Durable: streams.RunnerConsumer, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 1, AckWait: 100 * time.Millisecond, MaxAckPending: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := throttle.Ring(t.Context(), streams.TypeRun, streams.RunSubject("github", "acme", "api"), 7, 1, 1); err != nil {
		t.Fatal(err)
	}
	cons, err := runner.JetStream().Consumer(t.Context(), streams.Runs, streams.RunnerConsumer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cons.Next(jetstream.FetchMaxWait(5 * time.Second)); err != nil { // and its holder dies
		t.Fatal(err)
	}
	go func() { _ = throttle.MoveExhausted(t.Context(), nil) }()
	testenv.Eventually(t, 20*time.Second, func() bool {
		_, _ = cons.Fetch(1, jetstream.FetchMaxWait(time.Millisecond)) // the server looks when it is asked
		return count(t, operator, streams.DeadStream) == 1 && count(t, operator, streams.Runs) == 0
	})
}

// TestThreeServersKeepThreeCopies runs deploy/nats/cluster.conf three times.
func TestThreeServersKeepThreeCopies(t *testing.T) {
	setPasswords(t)
	t.Setenv("NATS_ROUTE_PASSWORD", "p-route")
	ports := make([]int, 3)
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = ln.Addr().(*net.TCPAddr).Port
		t.Setenv(fmt.Sprint("NATS_ROUTE_", i), fmt.Sprintf("nats://route:p-route@127.0.0.1:%d", ports[i]))
		_ = ln.Close()
	}
	var url string
	for i, port := range ports {
		t.Setenv("NATS_SERVER_NAME", fmt.Sprint("nats-", i))
		url = startServer(t, "cluster.conf", func(o *server.Options) { o.Cluster.Host, o.Cluster.Port = "127.0.0.1", port })
	}
	s := settings()
	s.Replicas = 3
	b, err := streams.Connect(streams.Options{
		Role: streams.ThrottleRole, URL: url, Login: streams.Login{User: "throttle", Password: "p-throttle"}, Settings: s, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	testenv.Eventually(t, 30*time.Second, func() bool { // until they have a leader
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := b.Apply(ctx)
		return err == nil
	})
	if err := b.Ring(t.Context(), streams.TypeRun, streams.RunSubject("github", "acme", "api"), 7, 1, 1); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 20*time.Second, func() bool {
		stream, err := b.JetStream().Stream(t.Context(), streams.Runs)
		if err != nil || stream.CachedInfo().Cluster == nil {
			return false
		}
		current := 0
		for _, r := range stream.CachedInfo().Cluster.Replicas {
			if r.Current && !r.Offline {
				current++
			}
		}
		return current == 2
	})
}

// TestCrossingIsRefused names by hand what each service must not do, most of it another one's work.
func TestCrossingIsRefused(t *testing.T) {
	url := startGuarded(t)
	nobody := []string{
		"$JS.API.STREAM.DELETE.DELIVERIES", "$JS.API.STREAM.PURGE.DELIVERIES", "$JS.API.STREAM.PURGE.OBJ_delivery_bodies", "$JS.API.STREAM.MSG.DELETE.DELIVERIES",
		"$JS.API.STREAM.CREATE.SPY", "$JS.API.CONSUMER.CREATE.DELIVERIES.spy", "$JS.API.CONSUMER.DURABLE.CREATE.RUNS.spy", "$JS.API.CONSUMER.CREATE.DEAD.spy",
		"$JS.API.CONSUMER.DELETE.RUNS.runner", "$JS.API.DIRECT.GET.DEAD", "$JS.API.DIRECT.GET.EVENTS", "$JS.API.STREAM.NAMES", "_INBOX.operator.x",
	}
	const next, direct = "$JS.API.CONSUMER.MSG.NEXT.", "$JS.API.DIRECT.GET."
	for role, subjects := range map[streams.Role][]string{
		streams.IngestRole: {
			"runs.ready.x.y.z", "fixes.ready.x.y.z", "dead.deliveries.x", "events.run.published.x.y.z", streams.WakeSubject, next + "DELIVERIES.throttle",
			next + "RUNS.runner", direct + "DELIVERIES", direct + "OBJ_delivery_bodies.$O.delivery_bodies.C.x", "$JS.ACK.DELIVERIES.throttle.1.1.1.1.1", "$JS.API.STREAM.UPDATE.DELIVERIES",
		},
		streams.ThrottleRole: {"deliveries.x.y.z", next + "RUNS.runner", next + "FIXES.publisher", "$JS.ACK.RUNS.runner.1.1.1.1.1", streams.WakeSubject},
		streams.RunnerRole: {
			"deliveries.x.y.z", "runs.ready.x.y.z", "dead.deliveries.x", "dead.fixes.ready.x", next + "DELIVERIES.throttle", next + "FIXES.publisher",
			direct + "DELIVERIES", "$O.delivery_bodies.M.x", "$JS.ACK.FIXES.publisher.1.1.1.1.1", "$JS.API.STREAM.UPDATE.RUNS", "$JS.API.STREAM.INFO.DELIVERIES",
		},
		streams.PublisherRole: {
			"deliveries.x.y.z", "runs.ready.x.y.z", "fixes.ready.x.y.z", "dead.deliveries.x", "dead.runs.ready.x", next + "DELIVERIES.throttle", next + "RUNS.runner",
			direct + "DELIVERIES", "$O.delivery_bodies.M.x", "$JS.ACK.RUNS.runner.1.1.1.1.1", "$JS.API.STREAM.UPDATE.FIXES", "$JS.API.STREAM.INFO.RUNS",
		},
	} {
		c := clientAs(t, url, role)
		subjects = append(subjects, nobody...)
		for _, subject := range subjects {
			if err := c.Publish(subject, []byte("{")); err != nil {
				t.Fatal(err)
			}
		}
		refused := c.violations(t)
		for _, subject := range subjects {
			if !strings.Contains(refused, `"`+subject+`"`) {
				t.Errorf("%s may publish to %s", role, subject)
			}
		}
	}
}
