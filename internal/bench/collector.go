package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Collector is an OTLP receiver that takes everything and keeps nothing, so that what it costs to tell can be measured.
type Collector struct {
	srv   *http.Server
	addr  string
	bytes atomic.Int64
}

// NewCollector starts one on a free port.
func NewCollector(ctx context.Context) (*Collector, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("collector: %w", err)
	}
	c := &Collector{addr: ln.Addr().String()}
	c.srv = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		c.bytes.Add(n)
		w.Header().Set("Content-Type", "application/x-protobuf")
	})}
	go func() { _ = c.srv.Serve(ln) }() // it ends with Close
	return c, nil
}

// Close ends it.
func (c *Collector) Close() { _ = c.srv.Close() }

// Bytes is how much it was sent.
func (c *Collector) Bytes() int64 { return c.bytes.Load() }

// Full is what makes a program tell everything: every trace, and metrics every second.
func (c *Collector) Full() map[string]string {
	return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + c.addr, "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
}

// Silent is what makes it tell nothing.
func Silent() map[string]string { return map[string]string{"OTEL_SDK_DISABLED": "true"} }
