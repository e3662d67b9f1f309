package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/senders"
	"github.com/sre-agent/sre-agent/services/ingest"
	"github.com/sre-agent/sre-agent/services/throttle"
	"github.com/sre-agent/sre-agent/streams"
)

// The keys. Azure DevOps' is a user and a password.
const (
	globalKey = "sre-agent:the-key-of-all-repositories"
	shopKey   = "sre-agent:the-key-of-acme-shop"
	apiKey    = "sre-agent:the-key-of-acme-api"
)

// door is intake from end to end: ingest, NATS, the throttle and PostgreSQL.
type door struct {
	t   *testing.T
	url string
	bus *streams.Bus
	st  *store.Store
}

func openDoor(t *testing.T) *door {
	t.Helper()
	url, _ := testenv.NATS(t)
	tel := telemetry.NewTest()
	bus, err := streams.Connect(streams.Options{Name: "test", URL: url, Log: tel.Log, Settings: streams.Settings{
		MaxAttempts: 3, BaseBackoff: time.Second, MaxBackoff: time.Minute, DeliveriesMaxBytes: 64 << 20, DeliveriesMaxAge: 24 * time.Hour,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Close)
	if _, err := bus.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), testenv.PostgresWithSchema(t, func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, url)
		return err
	}), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	intake := &throttle.Intake{
		Store: st, Rate: lease.NewRate(testenv.Redis(t), "rate:"), Events: bus, Counters: tel.Counters, Log: tel.Log, PerMinute: 1000, Wake: func() {},
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = bus.Consume(ctx, streams.Worker{
			Consumer: streams.ThrottleConsumer, Workers: 4, Handle: intake.Handle, Grace: time.Second, Ready: bus.Ready,
		})
	}()
	t.Cleanup(func() { stop(); <-ended })

	ring := webhook.NewKeyring()
	for _, s := range senders.Table() {
		ring.Add(s.Provider, keysOf(s, globalKey))
		for scope, key := range map[string]string{"acme/shop": shopKey, "acme/api": apiKey} {
			ring.AddScoped(s.Provider+"/"+scope, key, s.SendsToken)
		}
	}
	srv := httptest.NewServer(ingest.Handler(ingest.Options{
		Publisher: bus, Counters: tel.Counters, Log: tel.Log, Providers: providers.Table(), Keys: ring,
		MaxBody: 25 << 20, ReadTimeout: 10 * time.Second, PublishTimeout: 5 * time.Second,
	}))
	t.Cleanup(srv.Close)
	return &door{t: t, url: srv.URL + "/webhooks/", bus: bus, st: st}
}

func keysOf(s webhooktest.Sender, key string) webhook.Keys {
	if s.SendsToken {
		return webhook.Keys{Tokens: [][]byte{[]byte(key)}}
	}
	return webhook.Keys{Signing: [][]byte{[]byte(key)}}
}

type said struct{ Status, Delivery, Reason string }

func (d *door) send(r *http.Request) (int, said) {
	d.t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var a said
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		d.t.Fatal(err)
	}
	return res.StatusCode, a
}

// accepted sends a delivery and waits for its record.
func (d *door) accepted(provider string, r *http.Request) (outcome, reason string, runID int64) {
	d.t.Helper()
	code, a := d.send(r)
	if code != http.StatusAccepted || a.Status != "accepted" || a.Delivery == "" {
		d.t.Fatalf("answered %d %+v", code, a)
	}
	testenv.Eventually(d.t, 20*time.Second, func() bool {
		row, err := d.st.DeliveryRecord(d.t.Context(), provider, a.Delivery)
		if err != nil {
			return false
		}
		outcome, reason = row.Outcome, row.Reason
		if row.RunID != nil {
			runID = *row.RunID
		}
		return true
	})
	return outcome, reason, runID
}

func (d *door) messages() uint64 {
	d.t.Helper()
	s, err := d.bus.JetStream().Stream(d.t.Context(), streams.Deliveries)
	if err != nil {
		d.t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func (d *door) count(query string, args ...any) (n int) {
	d.t.Helper()
	if err := d.st.Pool().QueryRow(d.t.Context(), query, args...).Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

func TestEveryProvidersFailureBecomesOneRun(t *testing.T) {
	d := openDoor(t)
	if got, want := len(senders.Table()), len(providers.Table()); got != want {
		t.Fatalf("%d senders for %d providers", got, want)
	}
	// A time of its own for each delivery: those that are signed with it have to be fresh.
	now := time.Now().Truncate(time.Second)
	for _, s := range senders.Table() {
		t.Run(s.Provider, func(t *testing.T) {
			d.t = t
			url := d.url + s.Provider
			red := webhooktest.Params{DeliveryID: "11111111-1111-4111-8111-111111111111", RunID: 501, At: now.Add(-time.Minute)}
			outcome, reason, id := d.accepted(s.Provider, s.Pipeline(url, globalKey, red))
			if outcome != store.OutcomeRun || id == 0 {
				t.Fatalf("recorded as %s(%s)", outcome, reason)
			}
			r, err := d.st.Run(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			want := red.Default()
			f := r.Failure
			if f.Provider != s.Provider || f.Commit != want.Commit || f.Branch != want.Branch || f.Repository.FullName() != "acme/shop" ||
				f.Workflow == "" || f.WorkflowName == "" || f.RunID == "" || f.FromFork() {
				t.Errorf("normalised to %+v", f)
			}
			if code, a := d.send(s.Pipeline(url, globalKey, red)); code != http.StatusOK || a.Status != "duplicate_ignored" {
				t.Errorf("the same again: %d %+v", code, a)
			}
			own := red
			own.DeliveryID, own.Branch, own.Commit, own.RunID = "22222222-2222-4222-8222-222222222222", "sre-agent/fix-1", strings.Repeat("6f", 20), 502
			if outcome, reason, _ := d.accepted(s.Provider, s.Pipeline(url, globalKey, own)); outcome != store.OutcomeIgnored || reason != webhook.IgnoredOwnBranch {
				t.Errorf("our own branch: %s(%s)", outcome, reason)
			}
			again := red
			again.DeliveryID, again.RunID, again.At = "33333333-3333-4333-8333-333333333333", 503, now
			if outcome, _, same := d.accepted(s.Provider, s.Pipeline(url, globalKey, again)); outcome != store.OutcomeCoalesced || same != id {
				t.Errorf("another run of the same pipeline: %s, run %d", outcome, same)
			}
			green := again
			green.DeliveryID, green.RunID, green.Passed, green.At = "44444444-4444-4444-8444-444444444444", 504, true, now.Add(30*time.Second)
			if outcome, reason, _ := d.accepted(s.Provider, s.Pipeline(url, globalKey, green)); outcome != store.OutcomeIgnored || reason != "success" {
				t.Errorf("a later success: %s(%s)", outcome, reason)
			}
			if r, err := d.st.Run(t.Context(), id); err != nil || r.State != "superseded" || r.Reason != store.ReasonGreen {
				t.Errorf("the run is %s(%s) after a later success, %v", r.State, r.Reason, err)
			}
		})
	}
}

// TestAKeyOfOneRepositoryIsGoodForThatAlone: neither for another repository, nor for another's records under its name.
func TestAKeyOfOneRepositoryIsGoodForThatAlone(t *testing.T) {
	d := openDoor(t)
	now := time.Now().Truncate(time.Second)
	for n, s := range senders.Table() {
		t.Run(s.Provider, func(t *testing.T) {
			d.t = t
			url, before := d.url+s.Provider, d.messages()
			params := func(i int, name string) webhooktest.Params {
				return webhooktest.Params{
					DeliveryID: fmt.Sprintf("%08d-0000-4000-8000-%012d", n, i), Name: name, RunID: int64(100*n + i), At: now, Commit: fmt.Sprintf("%040x", 1000*n+1),
				}
			}
			if code, a := d.send(s.Pipeline(url, apiKey, params(1, "shop"))); code != http.StatusUnauthorized {
				t.Errorf("another repository's key: %d %+v", code, a)
			}
			if d.messages() != before {
				t.Error("it left a message")
			}
			_, _, ours := d.accepted(s.Provider, s.Pipeline(url, globalKey, params(2, "shop")))
			outcome, _, theirs := d.accepted(s.Provider, s.Pipeline(url, apiKey, params(3, "api")))
			if outcome != store.OutcomeRun || theirs == ours {
				t.Errorf("a body with this repository's name and another's id: %s, run %d", outcome, theirs)
			}
			green := params(4, "api")
			green.Passed, green.At = true, now.Add(time.Minute)
			d.accepted(s.Provider, s.Pipeline(url, apiKey, green))
			if r, err := d.st.Run(t.Context(), ours); err != nil || r.State != "waiting" {
				t.Errorf("its success ended the other's run: %s(%s), %v", r.State, r.Reason, err)
			}
		})
	}
}

// TestWhatIsNotSignedAsItIsLeavesNothing: a 4xx, no message and no row, for every provider.
func TestWhatIsNotSignedAsItIsLeavesNothing(t *testing.T) {
	d := openDoor(t)
	now := time.Now().Truncate(time.Second)
	table := providers.Table()
	for n, s := range senders.Table() {
		good := func() *http.Request { return s.Pipeline(d.url+s.Provider, globalKey, webhooktest.Params{At: now}) }
		body := func(change func([]byte) []byte) *http.Request {
			r := good()
			was, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			is := change(was)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(is)), int64(len(is))
			return r
		}
		credential := func(change func(values []string) []string) *http.Request {
			r := good()
			for _, name := range table[n].Credentials {
				if field, query := strings.CutPrefix(name, "?"); query {
					q := r.URL.Query()
					q[field] = change(q[field])
					r.URL.RawQuery = q.Encode()
				} else if values := r.Header.Values(name); len(values) > 0 {
					r.Header[http.CanonicalHeaderKey(name)] = change(values)
				}
			}
			return r
		}
		signed := func(body []byte) *http.Request {
			return s.Pipeline(d.url+s.Provider, globalKey, webhooktest.Params{At: now, Body: body})
		}
		other := senders.Table()[(n+1)%len(table)]
		stale := s.Pipeline(d.url+s.Provider, globalKey, webhooktest.Params{At: now.Add(-time.Hour)})
		hostile := map[string]*http.Request{
			"no credentials":        credential(func([]string) []string { return nil }),
			"short credentials":     credential(func(v []string) []string { return []string{v[0][:len(v[0])-1]} }),
			"empty credentials":     credential(func([]string) []string { return []string{""} }),
			"credentials twice":     credential(func(v []string) []string { return []string{v[0], v[0]} }),
			"another key":           s.Pipeline(d.url+s.Provider, "sre-agent:another", webhooktest.Params{At: now}),
			"another provider's":    s.Pipeline(d.url+other.Provider, globalKey, webhooktest.Params{At: now}),
			"SHA-1 alone":           sha1Only(credential(func([]string) []string { return nil })),
			"26 MB":                 body(func([]byte) []byte { return bytes.Repeat([]byte(" "), 26<<20) }),
			"nested 100,000 deep":   signed([]byte(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000))),
			"not UTF-8":             signed([]byte("{\"a\":\"\xff\xfe\"}")),
			"half of the JSON text": signed([]byte(`{"a":`)),
		}
		if !s.SendsToken {
			hostile["one flipped byte"] = body(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
			hostile["a re-encoded body"] = body(func(b []byte) []byte { return append([]byte(" "), b...) })
		}
		if signsTime(good()) {
			hostile["a time an hour ago"] = stale
		}
		t.Run(s.Provider, func(t *testing.T) {
			d.t = t
			for name, r := range hostile {
				code, a := d.send(r)
				if code < 400 || code > 499 || a.Status != "refused" || a.Reason == "" {
					t.Errorf("%s: %d %+v", name, code, a)
				}
				for _, key := range []string{globalKey, shopKey, apiKey} {
					if strings.Contains(a.Reason, key) || strings.Contains(a.Reason, base64.StdEncoding.EncodeToString([]byte(key))) {
						t.Errorf("%s: the answer holds a key", name)
					}
				}
			}
		})
	}
	d.t = t
	if n := d.messages(); n != 0 {
		t.Errorf("%d messages", n)
	}
	if n := d.count("select count(*) from deliveries") + d.count("select count(*) from runs"); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// signsTime says whether a request's signature is over a time.
func signsTime(r *http.Request) bool {
	return r.Header.Get("Webhook-Timestamp") != "" || strings.Contains(r.Header.Get("X-Buildkite-Signature"), "timestamp=")
}

func sha1Only(r *http.Request) *http.Request {
	r.Header.Set("X-Hub-Signature", "sha1="+strings.Repeat("0", 40))
	return r
}
