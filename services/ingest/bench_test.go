package ingest_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/providers"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/senders"
	"github.com/sre-agent/sre-agent/services/ingest"
	"github.com/sre-agent/sre-agent/streams"
)

// taken is a stream that takes everything.
type taken struct{ messages int }

func (t *taken) Publish(context.Context, *streams.Message) (bool, error) {
	t.messages++
	return false, nil
}

func (*taken) Emit(context.Context, streams.Event) {}

// discard is an answer that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// SetReadDeadline is what a connection of net/http's has.
func (*discard) SetReadDeadline(time.Time) error { return nil }

// BenchmarkHandler is what a request costs from its verification to the answer, without HTTP and without NATS.
func BenchmarkHandler(b *testing.B) {
	stream, ring := &taken{}, webhook.NewKeyring()
	ring.Add("github", webhook.Keys{Signing: [][]byte{[]byte(secret)}})
	handler := ingest.Handler(ingest.Options{
		Publisher: stream, Counters: telemetry.NewTest().Counters, Log: slog.New(slog.DiscardHandler), Providers: providers.Table(),
		Keys: ring, MaxBody: 25 << 20, ReadTimeout: 30 * time.Second, PublishTimeout: 8 * time.Second,
	})
	sender := senders.Table()[0]
	req := sender.Pipeline("http://localhost/webhooks/"+sender.Provider, secret, webhooktest.Params{Size: 10240})
	body, err := io.ReadAll(req.Body)
	if err != nil {
		b.Fatal(err)
	}
	req.RemoteAddr = "192.0.2.7:40000"
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	reader := bytes.NewReader(body)
	w := &discard{header: http.Header{}}
	for b.Loop() {
		reader.Reset(body)
		req.Body = io.NopCloser(reader)
		clear(w.header)
		if handler.ServeHTTP(w, req); w.status != http.StatusAccepted {
			b.Fatalf("answered %d", w.status)
		}
	}
	if stream.messages == 0 {
		b.Fatal("nothing was published")
	}
}
