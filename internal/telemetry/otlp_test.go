package telemetry_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// grpcCollector takes OTLP over gRPC, and keeps what it was told and with which key.
type grpcCollector struct {
	collectortraces.UnimplementedTraceServiceServer
	addr string
	hang chan struct{}

	mu   sync.Mutex
	told []string
}

// grpcMetrics is the same collector's other service, whose method has the same name.
type grpcMetrics struct {
	collectormetrics.UnimplementedMetricsServiceServer
	*grpcCollector
}

func startGRPC(t *testing.T) *grpcCollector {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &grpcCollector{addr: ln.Addr().String()}
	srv := grpc.NewServer()
	collectortraces.RegisterTraceServiceServer(srv, c)
	collectormetrics.RegisterMetricsServiceServer(srv, grpcMetrics{grpcCollector: c})
	go func() { _ = srv.Serve(ln) }() // it ends with Stop
	t.Cleanup(srv.Stop)
	return c
}

func (c *grpcCollector) tell(ctx context.Context, what string) {
	md, _ := metadata.FromIncomingContext(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, strings.Join(append(md.Get("x-key"), what), " "))
}

func (c *grpcCollector) Export(ctx context.Context, r *collectortraces.ExportTraceServiceRequest) (*collectortraces.ExportTraceServiceResponse, error) {
	if c.hang != nil {
		<-c.hang
	}
	for _, rs := range r.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				c.tell(ctx, s.GetName())
			}
		}
	}
	return &collectortraces.ExportTraceServiceResponse{}, nil
}

func (c grpcMetrics) Export(ctx context.Context, r *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	for _, rm := range r.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				c.tell(ctx, m.GetName())
			}
		}
	}
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

// tellSomething makes a span and counts, and sends both.
func tellSomething(t *testing.T) {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "test", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.Tracer.Start(t.Context(), "work")
	span.End()
	tel.Counters.Retry(t.Context(), telemetry.RetryCrash)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEachSignalIsSentByItsProtocol(t *testing.T) {
	const span, counter = "secret work", "secret " + telemetry.Retry
	const toHTTP, toGRPC = "the collector for HTTP", "the collector for gRPC"
	for name, test := range map[string]struct {
		env            map[string]string
		byGRPC, byHTTP []string
	}{
		"both by HTTP, which is the default": {map[string]string{"ENDPOINT": toHTTP}, nil, []string{"/v1/metrics", "/v1/traces"}},
		"both by gRPC":                       {map[string]string{"ENDPOINT": toGRPC, "PROTOCOL": "grpc"}, []string{counter, span}, nil},
		"traces by gRPC, metrics by HTTP": {
			map[string]string{"ENDPOINT": toHTTP, "TRACES_ENDPOINT": toGRPC, "TRACES_PROTOCOL": "grpc"}, []string{span}, []string{"/v1/metrics"},
		},
		"metrics by gRPC, traces said to be otherwise and sent nowhere": {
			map[string]string{"PROTOCOL": "grpc", "METRICS_ENDPOINT": toGRPC, "TRACES_PROTOCOL": "http/protobuf"}, []string{counter}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			receiver := startGRPC(t)
			var mu sync.Mutex
			var paths []string
			over := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				paths = append(paths, r.URL.Path)
			}))
			defer over.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
			for key, value := range test.env {
				t.Setenv("OTEL_EXPORTER_OTLP_"+key, strings.NewReplacer(toHTTP, over.URL, toGRPC, "http://"+receiver.addr).Replace(value))
			}
			tellSomething(t)
			receiver.mu.Lock()
			defer receiver.mu.Unlock()
			for _, want := range []string{span, counter} {
				if got := slices.Contains(receiver.told, want); got != slices.Contains(test.byGRPC, want) {
					t.Errorf("%q by gRPC: %v", want, got)
				}
			}
			slices.Sort(paths)
			if !slices.Equal(paths, test.byHTTP) {
				t.Errorf("by HTTP: %v, want %v", paths, test.byHTTP)
			}
		})
	}
}

func TestAGRPCCollectorThatIsAwayOrHangsStopsNothing(t *testing.T) {
	receiver := startGRPC(t)
	receiver.hang = make(chan struct{})
	defer close(receiver.hang)
	for name, addr := range map[string]string{"away": "127.0.0.1:1", "hangs": receiver.addr} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"+addr)
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
			began := time.Now()
			tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "test", Writer: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			_, span := tel.Tracer.Start(t.Context(), "work")
			span.End()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := tel.Shutdown(ctx); err == nil || time.Since(began) > 4*time.Second {
				t.Errorf("Shutdown = %v after %v", err, time.Since(began))
			}
		})
	}
}

func TestWhatOTLPCannotDoIsAnErrorAtTheStart(t *testing.T) {
	const password = "hunter2"
	for name, env := range map[string]map[string]string{
		"an unknown protocol":               {"PROTOCOL": "thrift"},
		"JSON":                              {"PROTOCOL": "http/json"},
		"an unknown protocol of traces":     {"TRACES_PROTOCOL": "thrift"},
		"an unknown protocol of metrics":    {"METRICS_PROTOCOL": "thrift"},
		"an address without a scheme":       {"ENDPOINT": "127.0.0.1:4317", "PROTOCOL": "grpc"},
		"a name without a scheme, for HTTP": {"ENDPOINT": "collector:4318"},
		"an address with a password":        {"METRICS_ENDPOINT": "ftp://user:" + password + "@collector"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range env {
				t.Setenv("OTEL_EXPORTER_OTLP_"+key, value)
			}
			_, err := telemetry.Start(t.Context(), telemetry.Options{Writer: io.Discard})
			if err == nil || !strings.Contains(err.Error(), "want") || strings.Contains(err.Error(), password) {
				t.Errorf("error %v, want one that says what is possible", err)
			}
		})
	}
}
