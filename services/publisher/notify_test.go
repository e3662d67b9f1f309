package publisher_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/redact"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/services/publisher"
	"github.com/sre-agent/sre-agent/streams"
)

// hooked is a webhook that says what it was sent, and answers when it may.
func hooked(t *testing.T, answer <-chan struct{}) (address string, heard <-chan string) {
	t.Helper()
	got := make(chan string, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
		select {
		case <-answer:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	return "generic://" + strings.TrimPrefix(srv.URL, "http://") + "/the-secret-path?disabletls=yes", got
}

func within(t *testing.T, heard <-chan string, what string) string {
	t.Helper()
	select {
	case text := <-heard:
		return text
	case <-time.After(20 * time.Second):
		t.Fatalf("nobody is told: %s", what)
		return ""
	}
}

// telling is a bus whose events people are told of, as the configuration says.
func telling(t *testing.T, environ map[string]string) (*streams.Bus, *telemetry.Test) {
	t.Helper()
	environ["NATS_URL"], _ = testenv.NATS(t)
	environ["GITHUB_WRITE_TOKEN"], environ["DATABASE_URL"] = "unused-secret", "postgres://db/x"
	cfg, err := config.Load(config.Publisher, environ)
	if err != nil {
		t.Fatal(err)
	}
	tel := telemetry.NewTest()
	bus, err := streams.ConnectWith(cfg, "test", tel.Log, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Close)
	if _, err := bus.Apply(t.Context()); err != nil { // there is no throttle that would
		t.Fatal(err)
	}
	news, err := publisher.NewNews(cfg, tel.Log, redact.New(cfg.KnownSecrets()).String)
	if err != nil || news == nil {
		t.Fatal(news, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() { news.Loop(ctx, bus) })
	t.Cleanup(func() { stop(); loop.Wait() })
	testenv.Eventually(t, 20*time.Second, func() bool {
		for stream, name := range map[string]string{streams.Events: "notify-warning", streams.DeadStream: "notify-error"} {
			if _, err := bus.JetStream().Consumer(t.Context(), stream, name); err != nil {
				return false
			}
		}
		_, err := bus.JetStream().Consumer(t.Context(), streams.Events, "notify-info")
		return err == nil
	})
	return bus, tel
}

func blocked(detail string) streams.Event {
	return streams.Event{Kind: "run.blocked", Provider: "github", Owner: "acme", Name: "shop", RunID: 7, Reason: "max_attempts", Detail: detail}
}

func TestPeopleAreToldAndASlowReceiverHoldsUpNobody(t *testing.T) {
	free := make(chan struct{})
	close(free)
	never := make(chan struct{})
	info, published := hooked(t, free)
	warning, stuck := hooked(t, never)
	lost, dead := hooked(t, free)
	bus, _ := telling(t, map[string]string{"NOTIFY_INFO_URLS": info, "NOTIFY_WARNING_URLS": warning, "NOTIFY_ERROR_URLS": lost})
	defer close(never) // the receiver answers at last, so that the test can end
	for range 3 {
		bus.Emit(t.Context(), blocked("<!channel> unused-secret"))
	}
	if text := within(t, stuck, "a run is blocked"); !strings.HasPrefix(text, "sre-agent: acme/shop: run 7 is blocked (max_attempts): ‹!channel›") || strings.Contains(text, "unused-secret") {
		t.Errorf("told %q", text)
	}
	// That receiver does not answer. Everybody else goes on.
	bus.Emit(t.Context(), streams.Event{Kind: "run.published", Provider: "github", Owner: "acme", Name: "shop", RunID: 8, Detail: "https://forge/pull/1"})
	bus.Emit(t.Context(), streams.Event{Kind: "run.running", Provider: "github", Owner: "acme", Name: "shop", RunID: 8})
	if text := within(t, published, "a pull request is open"); text != "sre-agent: acme/shop: a pull request is open: https://forge/pull/1 (run 8)" {
		t.Errorf("told %q", text)
	}
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		_ = bus.Consume(ctx, streams.Worker{
			Consumer: streams.PublisherConsumer, Workers: 1, Grace: time.Second,
			Handle: func(context.Context, *streams.Message) streams.Outcome { return streams.Dead("unknown_run", io.EOF) },
		})
	})
	defer work.Wait()
	defer stop()
	if err := bus.Ring(t.Context(), streams.TypeFix, "fixes.ready.github.acme.shop", 7, 1, 1); err != nil {
		t.Fatal(err)
	}
	if text := within(t, dead, "a message was given up"); !strings.Contains(text, "given up (unknown_run): FIXES: EOF") {
		t.Errorf("told %q", text)
	}
	if n := len(stuck); n != 0 {
		t.Errorf("%d more were sent to a receiver that has not answered", n)
	}
}

func TestOldNewsIsToldToNobody(t *testing.T) {
	free := make(chan struct{})
	close(free)
	all, heard := hooked(t, free)
	bus, _ := telling(t, map[string]string{"NOTIFY_INFO_URLS": all, "NOTIFY_WARNING_URLS": all, "NOTIFY_ERROR_URLS": all})
	old := blocked("old")
	old.Time = time.Now().Add(-2 * time.Hour)
	bus.Emit(t.Context(), old)
	bus.Emit(t.Context(), blocked("new"))
	if text := within(t, heard, "the new one"); !strings.HasSuffix(text, ": new") {
		t.Errorf("told %q", text)
	}
}

func TestNobodyIsToldUnlessItIsConfiguredAndAWrongAddressRefusesTheStart(t *testing.T) {
	if news, err := publisher.NewNews(&config.Config{}, nil, nil); news != nil || err != nil {
		t.Errorf("%v, %v", news, err)
	}
	_, err := publisher.NewNews(&config.Config{Notify: config.Notify{NotifyInfo: config.SecretList{config.NewSecret("slack://the-secret")}}}, nil, nil)
	if err == nil || strings.Contains(err.Error(), "the-secret") {
		t.Errorf("%v", err)
	}
}
