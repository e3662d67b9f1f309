package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/sre-agent/sre-agent/internal/about"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// scrape returns what /metrics says.
func scrape(t *testing.T, tel *telemetry.Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func start(t *testing.T, opts telemetry.Options) *telemetry.Telemetry {
	t.Helper()
	if opts.Writer == nil {
		opts.Writer = io.Discard
	}
	tel, err := telemetry.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tel
}

// useEverything touches each metric that has no value from the start.
func useEverything(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	tel.Counters.StageTook(t.Context(), telemetry.StageVerify, telemetry.ResultOK, 3*time.Second)
	tel.Counters.PullRequestAfter(t.Context(), 42*time.Second)
	tel.Counters.DeliveryRecorded(t.Context(), "made up", time.Second)
	tel.Counters.RunStarted(t.Context(), time.Second)
	tel.Counters.RunEnded(about.With(t.Context(), about.Work{Repository: "acme/hello"}), "made up")
	for _, m := range telemetry.Metrics() {
		if m.Kind == "gauge" {
			tel.Board.Show(m.Name, time.Minute, telemetry.Sample{Label: "waiting", Value: 7})
		}
	}
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-RateLimit-Remaining", "4999")
		w.Header().Set("X-RateLimit-Limit", "5000")
	}))
	t.Cleanup(forge.Close)
	res, err := httpapi.New(httpapi.Options{BaseURL: forge.URL}).Guard(nil).Get(forge.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

func TestThePrometheusOutputHasExactlyTheDocumentedNamesAndValues(t *testing.T) {
	tel := start(t, telemetry.Options{Service: "test", Version: "v0", Repositories: 1})
	useEverything(t, tel)
	output := scrape(t, tel)

	exported := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (sre_agent\S*) (\S+)$`).FindAllStringSubmatch(output, -1) {
		exported[m[1]] = m[2]
	}
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\| [^|]* \\| ([^|]*) \\| ([^|]*) \\|$").FindAllStringSubmatch(string(doc), -1) {
		name, kind, label, values := m[1], m[2], strings.Trim(m[3], "` "), m[4]
		if !strings.HasPrefix(name, "sre_agent") {
			continue // of the conventions
		}
		documented[name] = kind
		if kind != "counter" {
			continue
		}
		for _, value := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(values, -1) {
			if want := name + "{" + label + `="` + value[1] + `"} 0`; !strings.Contains(output, "\n"+want+"\n") {
				t.Errorf("/metrics has no line %s", want)
			}
		}
	}
	if diff := cmp.Diff(documented, exported); diff != "" {
		t.Errorf("docs/metrics.md and /metrics differ (-doc +exporter):\n%s", diff)
	}
	for _, name := range []string{
		"sre_agent_webhook_deduped_total", "sre_agent_pipeline_runs_skipped_total", "sre_agent_pipeline_retry_total",
		"sre_agent_pipeline_throttled_total", "sre_agent_pipeline_loop_blocked_total", "sre_agent_pr_create_skipped_total",
	} {
		if exported[name] != "counter" {
			t.Errorf("the design's counter %s is a %q", name, exported[name])
		}
	}
	for _, bad := range []string{"otel_scope", "_total_total", "seconds_seconds"} {
		if strings.Contains(output, bad) {
			t.Errorf("/metrics holds %q", bad)
		}
	}
	if !strings.Contains(output, `sre_agent_runs{state="waiting"} 7`) || !strings.Contains(output, "sre_agent_oldest_due_run_seconds 7") ||
		!strings.Contains(output, `service_name="test"`) || !strings.Contains(output, "\ngo_goroutines ") {
		t.Errorf("a gauge, the process or the service is missing:\n%s", output)
	}
}

func TestTheDocumentIsCurrent(t *testing.T) {
	got, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), telemetry.Markdown()); diff != "" {
		t.Errorf("docs/metrics.md is stale; run: go generate ./internal/telemetry\n(-file +code):\n%s", diff)
	}
}

func TestCountersCountUnderTheirReasonAndStrangersUnderOther(t *testing.T) {
	tel := telemetry.NewTest()
	ctx, c := t.Context(), tel.Counters
	for name, count := range map[string]func(reason string){
		telemetry.WebhookDeduped:  func(r string) { c.WebhookDeduped(ctx, telemetry.DedupReason(r)) },
		telemetry.RunsSkipped:     func(r string) { c.RunSkipped(ctx, telemetry.SkipReason(r)) },
		telemetry.Retry:           func(r string) { c.Retry(ctx, telemetry.RetryReason(r)) },
		telemetry.Throttled:       func(r string) { c.Throttled(ctx, telemetry.ThrottleReason(r)) },
		telemetry.LoopBlocked:     func(r string) { c.LoopBlocked(ctx, telemetry.LoopReason(r)) },
		telemetry.PRCreateSkipped: func(r string) { c.PRCreateSkipped(ctx, telemetry.PRSkipReason(r)) },
		telemetry.WebhookRejected: func(r string) { c.WebhookRejected(ctx, telemetry.RejectReason(r)) },
		telemetry.RunsEnded:       func(r string) { c.RunEnded(ctx, telemetry.Ending(r)) },
	} {
		i := slices.IndexFunc(telemetry.Metrics(), func(m telemetry.Metric) bool { return m.Name == name })
		first := telemetry.Metrics()[i].Labels[0].Values[0]
		count(first)
		count(first)
		count("hostile\"\nreason")
		count("another")
		got := []int64{tel.Count(name, first), tel.Count(name, telemetry.Other), tel.Count(name, "another"), tel.Count(name, "")}
		if diff := cmp.Diff([]int64{2, 2, 0, 4}, got); diff != "" {
			t.Errorf("%s: %s, other, another, sum (-want +got):\n%s", name, first, diff)
		}
	}
	c.StageTook(ctx, "made up", "made up", time.Second)
	if output := scrape(t, tel.Telemetry); !strings.Contains(output, `sre_agent_stage_duration_seconds_count{result="other",stage="other"} 1`) {
		t.Error("an unknown stage is not counted as other")
	}
}

func TestAGaugeThatIsNotShownAnewHasNoValue(t *testing.T) {
	tel := telemetry.NewTest()
	tel.Board.Show(telemetry.Runs, time.Minute, telemetry.Sample{Label: "waiting", Value: 7})
	tel.Board.Show(telemetry.OldestDueSeconds, -time.Second, telemetry.Sample{Value: 7}) // its time is over
	output := scrape(t, tel.Telemetry)
	if !strings.Contains(output, `sre_agent_runs{state="waiting"} 7`) || strings.Contains(output, "\nsre_agent_oldest_due_run_seconds ") {
		t.Errorf("a gauge that is shown is missing, or an old one is there:\n%s", output)
	}
	tel.Board.Clear(telemetry.Runs)
	if output := scrape(t, tel.Telemetry); strings.Contains(output, "\nsre_agent_runs{") {
		t.Error("a gauge that was cleared has a value")
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown gauge is accepted")
		}
	}()
	tel.Board.Show("sre_agent_made_up", time.Minute)
}

// redacting is a stand-in for the redactor: it hides one word in messages.
type redacting struct{ slog.Handler }

func (h redacting) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, strings.ReplaceAll(r.Message, "canary", "[hidden]"), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(slog.String(a.Key, strings.ReplaceAll(a.Value.String(), "canary", "[hidden]")))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h redacting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redacting{h.Handler.WithAttrs(attrs)}
}

func TestLogLinesAreRedactedAndCarryTheTrace(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			var out bytes.Buffer
			tel := start(t, telemetry.Options{
				Service: "test", LogFormat: format, LogLevel: "info", Writer: &out,
				Redact: func(h slog.Handler) slog.Handler { return redacting{h} },
			})
			ctx, span := tel.Tracer.Start(t.Context(), "work")
			defer span.End()
			tel.Log.With("run", "r1").InfoContext(ctx, "a canary sings", "url", "https://canary@host", "error", errors.New("canary"))
			tel.Log.DebugContext(ctx, "too fine")
			line := out.String()
			for _, want := range []string{span.SpanContext().TraceID().String(), span.SpanContext().SpanID().String(), "[hidden]", "r1", "test"} {
				if !strings.Contains(line, want) {
					t.Errorf("%q is not in %s", want, line)
				}
			}
			if strings.Contains(line, "canary") || strings.Contains(line, "too fine") {
				t.Errorf("what must not be there is in %s", line)
			}
		})
	}
}

func TestThePropagatorCarriesTheTrace(t *testing.T) {
	tel := telemetry.NewTest()
	ctx, span := tel.Tracer.Start(t.Context(), "work")
	defer span.End()
	carrier := propagation.MapCarrier{}
	tel.Propagator.Inject(ctx, carrier)
	if want := "00-" + span.SpanContext().TraceID().String() + "-" + span.SpanContext().SpanID().String() + "-01"; carrier["traceparent"] != want {
		t.Errorf("traceparent %q, want %q", carrier["traceparent"], want)
	}
}

func TestShutdownKeepsItsDeadlineWhenTheCollectorHangs(t *testing.T) {
	hang := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer collector.Close()
	defer close(hang)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.URL+"/v1/traces")
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "test", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.Tracer.Start(t.Context(), "work")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = tel.Shutdown(ctx)
	if took := time.Since(began); err == nil || took > 4*time.Second {
		t.Errorf("Shutdown = %v after %v, want an error soon after 100ms", err, took)
	}
}

func TestStartRefusesWhatItCannotDo(t *testing.T) {
	for _, opts := range []telemetry.Options{{LogFormat: "xml"}, {LogLevel: "loud"}} {
		opts.Writer = io.Discard
		if _, err := telemetry.Start(t.Context(), opts); err == nil {
			t.Errorf("Start accepts %+v", opts)
		}
	}
}

func TestLogLinesSayWhatTheirContextIsAbout(t *testing.T) {
	var out bytes.Buffer
	tel := start(t, telemetry.Options{LogLevel: "info", Writer: &out, Redact: func(h slog.Handler) slog.Handler { return redacting{h} }})
	ctx := about.With(t.Context(), about.Work{DeliveryID: "d-canary", RunID: 7, Repository: "acme/hello"})
	ctx = about.With(ctx, about.Work{RunKey: "key", Attempt: 2})
	tel.Log.InfoContext(ctx, "plain")
	tel.Log.InfoContext(ctx, "said by itself", "run_id", 8)
	tel.Log.With("run_id", 9).InfoContext(ctx, "said before")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{`"run_id":"7"`, `"run_id":"8"`, `"run_id":9`} {
		if strings.Count(lines[i], `"run_id"`) != 1 || !strings.Contains(lines[i], want) {
			t.Errorf("%s: want %s once", lines[i], want)
		}
		for _, want := range []string{`"delivery_id":"d-[hidden]"`, `"run_key":"key"`, `"repository":"acme/hello"`, `"attempt":"2"`} {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s is not in %s", want, lines[i])
			}
		}
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("a canary passed the redactor: %s", out.String())
	}
}

func TestHistogramsHaveExemplarsForWhoeverAsks(t *testing.T) {
	tel := start(t, telemetry.Options{Service: "test"})
	ctx, span := tel.Tracer.Start(t.Context(), "work")
	defer span.End()
	tel.Counters.StageTook(ctx, telemetry.StageVerify, telemetry.ResultOK, time.Second)
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text")
	tel.Handler().ServeHTTP(w, r)
	if want := `trace_id="` + span.SpanContext().TraceID().String(); !strings.Contains(w.Body.String(), want) {
		t.Errorf("no exemplar with %s", want)
	}
}

func TestOnlySoManyRepositoriesHaveALabel(t *testing.T) {
	for most, want := range map[int]int{0: 0, 2: 3} {
		tel := start(t, telemetry.Options{Service: "test", Repositories: most})
		for _, name := range []string{"a/a", "a/b", "a/c", "a/d", ""} {
			tel.Counters.RunEnded(about.With(t.Context(), about.Work{Repository: name}), telemetry.EndingDeclined)
		}
		output := scrape(t, tel)
		if got := strings.Count(output, "\nsre_agent_repository_runs_ended_total{"); got != want {
			t.Errorf("with %d repositories there are %d series, want %d", most, got, want)
		}
	}
}

func TestARouteIsMeasuredAndTakesUpNobodysTrace(t *testing.T) {
	tel := start(t, telemetry.Options{Service: "test"})
	var span trace.SpanContext
	h := tel.Served(http.MethodPost, "/webhooks/x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		span = trace.SpanContextFromContext(r.Context())
		w.WriteHeader(http.StatusAccepted)
	}))
	r := httptest.NewRequest(http.MethodPost, "/webhooks/x", nil)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if !span.IsValid() || span.TraceID().String() == "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the request's span is %v", span)
	}
	if want := `http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="202",http_route="/webhooks/x"} 1`; !strings.Contains(scrape(t, tel), want) {
		t.Errorf("/metrics has no line %s", want)
	}
}

func TestAMeasuredRouteStillSetsDeadlines(t *testing.T) {
	tel := telemetry.NewTest()
	var err error
	srv := httptest.NewServer(tel.Served(http.MethodPost, "/webhooks/x", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		err = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute))
	})))
	defer srv.Close()
	res, postErr := http.Post(srv.URL, "application/json", strings.NewReader("{}"))
	if postErr != nil {
		t.Fatal(postErr)
	}
	_ = res.Body.Close()
	if err != nil {
		t.Errorf("a slow body would never be cut: %v", err)
	}
}

func TestADisabledSDKShowsNothing(t *testing.T) {
	t.Setenv("OTEL_SDK_DISABLED", "true")
	tel := start(t, telemetry.Options{Service: "test"})
	tel.Counters.Retry(t.Context(), telemetry.RetryCrash)
	if output := scrape(t, tel); output != "" {
		t.Errorf("/metrics says %s", output)
	}
}
