package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The signals, as the standard variables spell them.
const (
	traces  = "TRACES"
	metrics = "METRICS"
)

// The protocols of OTLP that are built in.
const (
	overGRPC = "grpc"
	overHTTP = "http/protobuf"
)

// disabled says whether traces and metrics are off altogether, also those that are scraped.
func disabled() bool { return os.Getenv("OTEL_SDK_DISABLED") == "true" }

// exports says whether the standard variables name an OTLP endpoint for a signal.
func exports(signal string) bool {
	return !disabled() && os.Getenv("OTEL_"+signal+"_EXPORTER") != "none" && ofSignal(signal, "ENDPOINT") != ""
}

// ofSignal is an exporter's variable for one signal, or else the one for all of them.
func ofSignal(signal, name string) string {
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_"+name), os.Getenv("OTEL_EXPORTER_OTLP_"+name))
}

// protocolOf is how a signal is sent. What is not known is refused, also where nothing is sent yet: it would else go to
// a port that speaks something else, in vain.
func protocolOf(signal string) (string, error) {
	p := cmp.Or(ofSignal(signal, "PROTOCOL"), overHTTP)
	if p != overGRPC && p != overHTTP {
		return "", fmt.Errorf("telemetry: OTLP protocol %.40q for %s: want %s (a collector listens for it on port 4317) or %s (4318)", p, signal, overGRPC, overHTTP)
	}
	endpoint := ofSignal(signal, "ENDPOINT")
	u, err := url.Parse(endpoint)
	// The libraries would send to localhost instead. gRPC knows more kinds of address than URLs of HTTP.
	if endpoint != "" && (err != nil || p == overHTTP && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https")) {
		return "", fmt.Errorf("telemetry: OTLP endpoint for %s: want a URL such as http://collector:4318", signal) // it may hold a password
	}
	return p, nil
}

// traceExporter takes all that it needs from the standard variables. It does not wait for the collector.
func traceExporter(ctx context.Context, protocol string) (exporter sdktrace.SpanExporter, err error) {
	if protocol == overGRPC {
		exporter, err = otlptracegrpc.New(ctx)
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("telemetry: trace exporter: %w", err)
	}
	return exporter, nil
}

// metricExporter is the same for metrics.
func metricExporter(ctx context.Context, protocol string) (exporter sdkmetric.Exporter, err error) {
	if protocol == overGRPC {
		exporter, err = otlpmetricgrpc.New(ctx)
	} else {
		exporter, err = otlpmetrichttp.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("telemetry: metric exporter: %w", err)
	}
	return exporter, nil
}
