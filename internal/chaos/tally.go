package chaos

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// Tally is an OTLP collector that adds up the counters of all processes that ever ran. A process sends what it has
// counted so far a few times a second and once more when it ends by itself; one that is killed takes with it what it
// counted since.
type Tally struct {
	srv  *http.Server
	addr string

	mu   sync.Mutex
	seen map[life]int64
}

// life is one series of one process: the start time tells a program's lives apart.
type life struct {
	Series
	Service string
	Start   uint64
}

// TallyEvery is how often processes send.
const TallyEvery = 250 * time.Millisecond

const maxExport = 8 << 20

// NewTally starts a collector on a free port.
func NewTally(ctx context.Context) (*Tally, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("collector: %w", err)
	}
	t := &Tally{addr: ln.Addr().String(), seen: map[life]int64{}}
	t.srv = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = t.srv.Serve(ln) }() // it ends with Close
	return t, nil
}

// Close ends the collector.
func (t *Tally) Close() { _ = t.srv.Close() }

// Environ is what a program needs to send to it.
func (t *Tally) Environ() map[string]string {
	return map[string]string{
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://" + t.addr + "/v1/metrics",
		"OTEL_METRIC_EXPORT_INTERVAL":         fmt.Sprint(TallyEvery.Milliseconds()),
		"OTEL_METRIC_EXPORT_TIMEOUT":          "2000",
	}
}

func (t *Tally) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxExport))
	var req collector.ExportMetricsServiceRequest
	if err != nil || proto.Unmarshal(body, &req) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, rm := range req.GetResourceMetrics() {
		service := ""
		for _, a := range rm.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				t.add(service, m)
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (t *Tally) add(service string, m *metrics.Metric) {
	for _, p := range m.GetSum().GetDataPoints() {
		reason := ""
		for _, a := range p.GetAttributes() {
			if a.GetKey() == "reason" {
				reason = a.GetValue().GetStringValue()
			}
		}
		l := life{Series{m.GetName(), reason}, service, p.GetStartTimeUnixNano()}
		t.seen[l] = max(t.seen[l], p.GetAsInt())
	}
}

// Counted is what every process has counted so far, of the six counters.
func (t *Tally) Counted() map[Series]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[Series]int{}
	for _, name := range Six {
		for l, n := range t.seen {
			if l.Counter == name {
				out[l.Series] += int(n)
			}
		}
	}
	return out
}
