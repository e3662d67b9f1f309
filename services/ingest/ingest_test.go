package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/services/ingest"
	"github.com/sre-agent/sre-agent/streams"
)

const (
	secret    = "webhook-secret"
	apiSecret = "secret-of-acme-api"
	webSecret = "secret-of-acme-web"
	orgSecret = "secret-of-other"
)

type intake struct {
	url string
	bus *streams.Bus
	tel *telemetry.Test
}

// keys are those that the tests sign with: of every provider, and for two repositories of their own.
func keys(t *testing.T) *webhook.Keyring {
	t.Helper()
	ring := webhook.NewKeyring()
	ring.Add("github", webhook.Keys{Signing: [][]byte{[]byte("new-" + secret), []byte(secret)}})
	ring.AddScoped("github/acme/api", apiSecret, false)
	ring.AddScoped("github/acme/web", webSecret, false)
	ring.AddScoped("github/other", orgSecret, false)
	return ring
}

// start serves the handler on real NATS.
func start(t *testing.T) *intake {
	t.Helper()
	url, _ := testenv.NATS(t)
	tel := telemetry.NewTest()
	bus, err := streams.Connect(streams.Options{Name: "test", URL: url, Log: tel.Log, Settings: streams.Settings{
		MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: time.Minute,
		DeliveriesMaxBytes: 64 << 20, DeliveriesMaxAge: 24 * time.Hour,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Close)
	if _, err := bus.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(ingest.Handler(ingest.Options{
		Publisher: bus, Counters: tel.Counters, Log: tel.Log, Providers: providers.Table(), Keys: keys(t),
		MaxBody: 25 << 20, ReadTimeout: 10 * time.Second, PublishTimeout: 5 * time.Second,
	}))
	t.Cleanup(srv.Close)
	return &intake{url: srv.URL + "/webhooks/github", bus: bus, tel: tel}
}

type answer struct{ Status, Delivery, Reason string }

func (i *intake) send(t *testing.T, r *http.Request) (int, answer) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatalf("answer %q: %v", body, err)
	}
	return res.StatusCode, a
}

func (i *intake) request(secret, delivery, event string, body []byte) *http.Request {
	return githubtest.Request(i.url, secret, event, delivery, body)
}

func (i *intake) stream(t *testing.T) jetstream.Stream {
	t.Helper()
	s, err := i.bus.JetStream().Stream(t.Context(), streams.Deliveries)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func guid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func TestASignedDeliveryIsInTheStreamBeforeItIsAnswered(t *testing.T) {
	i := start(t)
	body := githubtest.FailedRun(githubtest.Params{})
	code, a := i.send(t, i.request(secret, guid(1), "workflow_run", body))
	if code != http.StatusAccepted || a.Status != "accepted" || a.Delivery != guid(1) {
		t.Fatalf("%d %+v", code, a)
	}
	m, err := i.stream(t).GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get(streams.HdrDeliveryID) != guid(1) || m.Header.Get(streams.HdrEvent) != "workflow_run" ||
		!strings.HasPrefix(m.Subject, "deliveries.github.") {
		t.Errorf("%s %v", m.Subject, m.Header)
	}
	if len(m.Data) > len(body)/3 {
		t.Errorf("a body of %d bytes travels as %d", len(body), len(m.Data))
	}
	code, a = i.send(t, i.request("new-"+secret, guid(1), "workflow_run", body))
	if code != http.StatusOK || a.Status != "duplicate_ignored" {
		t.Errorf("again: %d %+v", code, a)
	}
	if n := i.tel.Count(telemetry.WebhookDeduped, string(telemetry.DedupStreamWindow)); n != 1 {
		t.Errorf("%d duplicates counted", n)
	}
}

// TestBadInputLeavesNoMessage: I9, and each refusal says what was wrong.
func TestBadInputLeavesNoMessage(t *testing.T) {
	i := start(t)
	good := githubtest.FailedRun(githubtest.Params{})
	signed := func(body []byte) *http.Request { return i.request(secret, guid(1), "workflow_run", body) }
	without := func(header string) *http.Request { r := signed(good); r.Header.Del(header); return r }
	with := func(header, value string) *http.Request { r := signed(good); r.Header.Set(header, value); return r }
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	wrongBody := signed(good)
	wrongBody.Body = io.NopCloser(bytes.NewReader(flipped))
	large := bytes.Repeat([]byte(" "), 26<<20)
	chunked := signed(large)
	chunked.ContentLength = -1
	for name, tc := range map[string]struct {
		request *http.Request
		code    int
		label   telemetry.RejectReason
		says    string
	}{
		"unsigned":                 {without("X-Hub-Signature-256"), 401, telemetry.RejectUnsigned, "GITHUB_WEBHOOK_SECRETS"},
		"wrong secret":             {i.request("other", guid(1), "workflow_run", good), 401, telemetry.RejectBadSignature, "does not match"},
		"one flipped byte":         {wrongBody, 401, telemetry.RejectBadSignature, "does not match"},
		"26 MB":                    {signed(large), 413, telemetry.RejectTooLarge, "WEBHOOK_MAX_BODY_BYTES"},
		"26 MB of unsaid length":   {chunked, 413, telemetry.RejectTooLarge, "WEBHOOK_MAX_BODY_BYTES"},
		"truncated JSON":           {signed(good[:len(good)/2]), 400, telemetry.RejectMalformed, "at byte"},
		"nested 100,000 deep":      {signed([]byte(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000))), 400, telemetry.RejectMalformed, "depth"},
		"no delivery id":           {without("X-GitHub-Delivery"), 400, telemetry.RejectBadHeader, "X-GitHub-Delivery"},
		"an event that is no name": {with("X-GitHub-Event", "a.*.>"), 400, telemetry.RejectBadHeader, "X-GitHub-Event"},
	} {
		t.Run(name, func(t *testing.T) {
			before := i.tel.Count(telemetry.WebhookRejected, string(tc.label))
			code, a := i.send(t, tc.request)
			if code != tc.code || a.Status != "refused" || !strings.Contains(a.Reason, tc.says) {
				t.Errorf("%d %+v, want %d and %q", code, a, tc.code, tc.says)
			}
			if i.tel.Count(telemetry.WebhookRejected, string(tc.label)) != before+1 {
				t.Errorf("not counted as %s", tc.label)
			}
		})
	}
	if n := i.stream(t).CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestAnUnsignedBodyIsNotEvenRead(t *testing.T) {
	i := start(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimSuffix(strings.TrimPrefix(i.url, "http://"), "/webhooks/github"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	// The head announces a body that never comes.
	if _, err := fmt.Fprintf(conn, "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 12)
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 401" {
		t.Errorf("%q, %v", head, err)
	}
}

func TestWhatTheStreamCantTakeIsSaidToTheSender(t *testing.T) {
	i := start(t)
	i.bus.Close()
	code, a := i.send(t, i.request(secret, guid(1), "workflow_run", githubtest.FailedRun(githubtest.Params{})))
	if code != http.StatusServiceUnavailable || a.Status != "unavailable" {
		t.Errorf("%d %+v", code, a)
	}
	if i.tel.Count(telemetry.WebhookRejected, string(telemetry.RejectUnavailable)) != 1 {
		t.Error("not counted")
	}
}

// lossy publishes, and then says that it failed: the reply was lost.
type lossy struct{ *streams.Bus }

func (l lossy) Publish(ctx context.Context, m *streams.Message) (bool, error) {
	if _, err := l.Bus.Publish(ctx, m); err != nil {
		return false, err
	}
	return false, streams.ErrUnavailable
}

func TestALostAcknowledgementAndARedeliveryAreOneMessage(t *testing.T) {
	i := start(t)
	srv := httptest.NewServer(ingest.Handler(ingest.Options{
		Publisher: lossy{i.bus}, Counters: i.tel.Counters, Log: i.tel.Log, Providers: providers.Table(), Keys: keys(t), MaxBody: 1 << 20, PublishTimeout: 5 * time.Second,
	}))
	defer srv.Close()
	body := githubtest.FailedRun(githubtest.Params{})
	if code, _ := i.send(t, githubtest.Request(srv.URL+"/webhooks/github", secret, "workflow_run", guid(1), body)); code != http.StatusServiceUnavailable {
		t.Fatalf("answered %d", code)
	}
	if code, a := i.send(t, i.request(secret, guid(1), "workflow_run", body)); code != http.StatusOK || a.Status != "duplicate_ignored" {
		t.Errorf("the redelivery: %d %+v", code, a)
	}
	if n := i.stream(t).CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestALengthThatLiesLeavesNoMessage(t *testing.T) {
	i := start(t)
	body := githubtest.FailedRun(githubtest.Params{})
	address := strings.TrimSuffix(strings.TrimPrefix(i.url, "http://"), "/webhooks/github")
	for name, tc := range map[string]struct {
		length int
		status string
	}{
		"more than comes": {len(body) + 10, "HTTP/1.1 400"},
		"less than comes": {len(body) - 10, "HTTP/1.1 401"},
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		r := i.request(secret, guid(1), "workflow_run", body)
		_, _ = fmt.Fprintf(conn, "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", tc.length)
		_ = r.Header.Write(conn)
		_, _ = fmt.Fprintf(conn, "\r\n%s", body)
		_ = conn.(*net.TCPConn).CloseWrite()
		head := make([]byte, len(tc.status))
		if _, err := io.ReadFull(conn, head); err != nil || string(head) != tc.status {
			t.Errorf("%s: %q, %v", name, head, err)
		}
		_ = conn.Close()
	}
	if n := i.stream(t).CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestAProviderWithoutAKeyIsOffAndSaysHowToTurnItOn(t *testing.T) {
	i := start(t)
	for provider, says := range map[string]string{
		"circleci": "CIRCLECI_WEBHOOK_SECRETS", "gitlab": "GITLAB_WEBHOOK_SECRETS or GITLAB_WEBHOOK_TOKENS", "azure-devops": "AZURE_DEVOPS_WEBHOOK_TOKENS",
	} {
		r := i.request(secret, guid(1), "workflow_run", []byte("{}"))
		r.URL.Path = "/webhooks/" + provider
		if code, a := i.send(t, r); code != http.StatusNotFound || !strings.Contains(a.Reason, says) {
			t.Errorf("%s: %d %+v", provider, code, a)
		}
	}
}

func TestAnAddressThatMayNotSendIsRefused(t *testing.T) {
	i := start(t)
	srv := httptest.NewServer(ingest.Handler(ingest.Options{
		Publisher: i.bus, Counters: i.tel.Counters, Log: i.tel.Log, Providers: providers.Table(), Keys: keys(t), MaxBody: 1 << 20, PublishTimeout: 5 * time.Second,
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, Allowed: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}))
	defer srv.Close()
	for forwarded, want := range map[string]int{"198.51.100.1": http.StatusForbidden, "192.0.2.9": http.StatusAccepted, "192.0.2.9, 198.51.100.1": http.StatusForbidden} {
		r := githubtest.Request(srv.URL+"/webhooks/github", secret, "workflow_run", guid(7), githubtest.FailedRun(githubtest.Params{}))
		r.Header.Set("X-Forwarded-For", forwarded)
		if code, a := i.send(t, r); code != want {
			t.Errorf("%s: %d %+v", forwarded, code, a)
		}
	}
}

func TestAnEventThatNothingIsDoneAboutIsKeptAndSaidToBeIgnored(t *testing.T) {
	i := start(t)
	for n, tc := range []struct{ event, status, says string }{
		{"push", "ignored", "event_not_used"},
		{"ping", "ignored", "ping"},
		{"heart_transplant", "ignored", "unknown_event"},
		{"workflow_run", "accepted", ""},
		{"workflow_job", "accepted", ""},
		{"check_run", "accepted", ""},
		{"check_suite", "accepted", ""},
		{"status", "accepted", ""},
	} {
		code, a := i.send(t, i.request(secret, guid(n), tc.event, fmt.Appendf(nil, `{"n":%d}`, n)))
		if code != http.StatusAccepted || a.Status != tc.status || !strings.HasPrefix(a.Reason, tc.says) {
			t.Errorf("%s: %d %+v", tc.event, code, a)
		}
	}
	if n := i.stream(t).CachedInfo().State.Msgs; n != 8 {
		t.Errorf("%d of 8 kept", n)
	}
}
