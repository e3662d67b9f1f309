package e2e

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/testenv"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// receiver is an OTLP receiver that keeps the spans it is sent, by their service.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans map[string][]*trace.Span
	raw   []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{spans: map[string][]*trace.Span{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var export collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &export) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw = append(r.raw, string(body))
	for _, rs := range export.GetResourceSpans() {
		service := ""
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = strings.TrimPrefix(a.GetValue().GetStringValue(), "sre-agent-")
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			r.spans[service] = append(r.spans[service], ss.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// find returns the first span of a service with this name, or nil.
func (r *receiver) find(service, name string) *trace.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans[service] {
		if s.GetName() == name {
			return s
		}
	}
	return nil
}

// all returns the spans of a service with this name.
func (r *receiver) all(service, name string) []*trace.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.spans[service]), func(s *trace.Span) bool { return s.GetName() != name })
}

// TestOneTraceLeadsFromTheWebhookToThePullRequest also looks at the log lines of the four programs: each line about the
// run says what it is about, and neither lines nor spans hold a secret.
func TestOneTraceLeadsFromTheWebhookToThePullRequest(t *testing.T) {
	r := newReceiver(t)
	c := startCluster(t, map[string]string{
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": r.URL + "/v1/traces", "OTEL_BSP_SCHEDULE_DELAY": "100", "BASE_BACKOFF_SECONDS": "1", "MAX_BACKOFF_SECONDS": "1", "COOLDOWN_SECONDS": "1",
	})
	failing := 1
	var mu sync.Mutex
	c.scene.Forge.SetFault(func(req *http.Request) *forgetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if failing > 0 && strings.Contains(req.URL.Path, "/actions/") {
			failing--
			return &forgetest.Fault{Status: http.StatusBadGateway, Body: "down"}
		}
		return nil
	})
	f := c.fail(0)
	c.send("workflow_run", "traced-1", githubtest.FailedRun(f.params))
	if run := c.ended(f, time.Minute); run.State != "published" {
		t.Fatalf("%s(%s) %s", run.State, run.Reason, run.Explanation)
	}
	way := [][2]string{
		{"ingest", "POST /webhooks/github"},
		{"throttle", "process throttle"},
		{"runner", "process runner"},
		{"runner", "stage verify"},
		{"publisher", "process publisher"},
		{"publisher", "POST"},
	}
	testenv.Eventually(t, 20*time.Second, func() bool {
		return !slices.ContainsFunc(way, func(at [2]string) bool { return r.find(at[0], at[1]) == nil })
	})
	// One that was not accepted is sent again, in a trace of its own.
	id := hex.EncodeToString(r.find("throttle", "process throttle").GetTraceId())
	if !slices.ContainsFunc(r.all(way[0][0], way[0][1]), func(s *trace.Span) bool { return hex.EncodeToString(s.GetTraceId()) == id }) {
		t.Errorf("no webhook is in trace %s", id)
	}
	for _, at := range way[1:] {
		if got := hex.EncodeToString(r.find(at[0], at[1]).GetTraceId()); got != id {
			t.Errorf("%s of %s is in trace %s, the delivery in %s", at[1], at[0], got, id)
		}
	}
	tries := r.all("runner", "process runner")
	linked := slices.ContainsFunc(tries, func(s *trace.Span) bool {
		return slices.ContainsFunc(s.GetLinks(), func(l *trace.Span_Link) bool {
			return slices.ContainsFunc(tries, func(other *trace.Span) bool { return string(other.GetSpanId()) == string(l.GetSpanId()) && other != s })
		})
	})
	if !linked {
		t.Errorf("of %d tries none points to another", len(tries))
	}
	for _, name := range cluster.Programs {
		c.lookAtLines(t, name, id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range r.raw {
		c.lookForSecrets(t, "a span", raw)
	}
}

// lookAtLines reads a program's log.
func (c *system) lookAtLines(t *testing.T, name, traceID string) {
	t.Helper()
	text, err := os.ReadFile(c.procs[name].Log)
	if err != nil {
		t.Fatal(err)
	}
	c.lookForSecrets(t, "the log of "+name, string(text))
	of := 0
	for line := range strings.Lines(string(text)) {
		var said map[string]any
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Errorf("%s: no JSON: %s", name, line)
			continue
		}
		if said["trace_id"] != traceID {
			continue
		}
		of++
		for _, want := range map[string][]string{
			"throttle": {"repository", "delivery_id"}, "runner": {"repository", "run_id", "run_key"}, "publisher": {"repository", "run_id", "run_key", "attempt"},
		}[name] {
			if said[want] == nil {
				t.Errorf("%s: a line has no %s: %s", name, want, line)
			}
		}
	}
	if of == 0 && name != "ingest" { // which says nothing of a webhook that it takes
		t.Errorf("%s has no line of the trace", name)
	}
}

func (c *system) lookForSecrets(t *testing.T, where, text string) {
	t.Helper()
	for name, value := range c.scene.Environ() {
		if secret := strings.Contains(name, "TOKEN") || strings.Contains(name, "SECRET"); secret && strings.Contains(text, value) {
			t.Errorf("%s is in %s", name, where)
		}
	}
}
