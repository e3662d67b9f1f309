package bench_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/bench"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/senders"
)

const key = "bench:a-key-of-some-length"

func mix(senders []webhooktest.Sender) bench.Mix {
	m := bench.Mix{
		URL: "http://localhost/webhooks/", Senders: senders, Keys: map[string]string{}, Size: 10240, Repositories: 50, Duplicates: 0.05,
		First: 30_000_000, Seed: 1, At: time.Now(),
	}
	for _, s := range senders {
		m.Keys[s.Provider] = key
	}
	return m
}

// inspect holds requests to what is promised of them, and returns how many there are of each repository.
func inspect(t *testing.T, r bench.Requests) map[string]int {
	t.Helper()
	all, sent, repositories, size := map[string]string{}, map[string]bool{}, map[string]int{}, 0
	for n := range r.Len() {
		text := r.Append(nil, n)
		key := r.Key(n)
		if was, ok := all[key]; ok && was != string(text) {
			t.Fatalf("two different requests of delivery %s", key)
		}
		if all[key] == "" && sent[string(text)] {
			t.Fatalf("one request, two keys: %s", key)
		}
		all[key], sent[string(text)] = string(text), true
		size += len(text)
		if n%7 == 0 { // parsing is slow
			repositories[parsed(t, text, key)]++
		}
	}
	if share := float64(r.Len()-len(all)) / float64(r.Len()); share < 0.005 || share > 0.06 {
		t.Errorf("%.3f of them are duplicates", share)
	}
	if mean := size / r.Len(); mean < 10_000 || mean > 12_000 {
		t.Errorf("a request has %d bytes", mean)
	}
	return repositories
}

// parsed is the repository of the failure that a request carries, as ingest and throttle read it.
func parsed(t *testing.T, text []byte, deliveryKey string) string {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	p, ok := providers.Find(req.URL.Path[len("/webhooks/"):])
	if !ok {
		t.Fatalf("no provider at %s", req.URL.Path)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || int64(len(body)) != req.ContentLength || !json.Valid(body) {
		t.Fatalf("%d bytes of %d, %v", len(body), req.ContentLength, err)
	}
	r := &webhook.Request{Header: req.Header, Query: req.URL.Query(), Body: body, Received: time.Now()}
	keys := webhook.Keys{}
	if p.Signs {
		keys.Signing = [][]byte{[]byte(key)}
	}
	if p.Sends {
		keys.Tokens = [][]byte{[]byte(key)}
	}
	if err := p.Verify(r, keys); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	id, event, err := p.Identify(r)
	if err != nil {
		t.Fatal(err)
	}
	if id == "" {
		id = bench.BodyID(body)
	}
	if p.Name+"-"+id != deliveryKey {
		t.Fatalf("the key is %s, ingest's is %s-%s", deliveryKey, p.Name, id)
	}
	e, err := p.Parse(event, body)
	if err != nil || e.Kind != webhook.Failure {
		t.Fatalf("%s: %s(%s), %v", p.Name, e.Kind, e.Reason, err)
	}
	return e.Failure.Repository.Name
}

func TestStampedRequestsAreWhatGitHubSends(t *testing.T) {
	t.Parallel()
	m := mix(senders.Table()[:1])
	r, err := m.Stamp(5000)
	if err != nil {
		t.Fatal(err)
	}
	repositories := inspect(t, r)
	most, sum := 0, 0
	for _, n := range repositories {
		most, sum = max(most, n), sum+n
	}
	if len(repositories) < 25 || most*100 < sum*10 {
		t.Errorf("%d repositories, the busiest has %d of %d", len(repositories), most, sum)
	}
	m.First += 5000
	other, err := m.Stamp(10)
	if err != nil {
		t.Fatal(err)
	}
	for n := range r.Len() {
		if r.Key(n) == other.Key(0) {
			t.Errorf("delivery %s is in both loads", r.Key(n))
		}
	}
}

func TestMadeRequestsAreWhatEachProviderSends(t *testing.T) {
	t.Parallel()
	r, err := mix(senders.Table()).Make(2400)
	if err != nil {
		t.Fatal(err)
	}
	inspect(t, r)
}
