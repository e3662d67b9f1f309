package bench_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/bench"
)

// plain are requests that only differ in their number.
type plain int

func (p plain) Len() int { return int(p) }

func (p plain) Append(buf []byte, n int) []byte {
	body := fmt.Sprintf("number %d", n)
	return fmt.Appendf(buf, "POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", n, len(body), body)
}

func (p plain) Key(n int) string { return fmt.Sprint(n) }

func address(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

func TestEveryKindOfAnswerIsCountedAndTheConnectionsAreKept(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	bodies := map[string]bool{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		bodies[string(body)] = true
		mu.Unlock()
		var n int
		_, _ = fmt.Sscanf(string(body), "number %d", &n)
		switch n % 10 {
		case 1: // an answer of unsaid length comes in chunks
			w.WriteHeader(http.StatusAccepted)
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, strings.Repeat("x", 9000))
		case 2:
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, `{"status":"duplicate_ignored"}`)
		case 3:
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 4: // hangs up without an answer
			nc, _, _ := w.(http.Hijacker).Hijack()
			_ = nc.Close()
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	var opened atomic.Int64
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	r, err := bench.Load{Address: address(srv), Connections: 4, Requests: plain(200), Duration: time.Minute, Timeout: 10 * time.Second}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock() // a handler whose connection was dropped may still be at its end
	defer mu.Unlock()
	if len(r.Accepted) != 140 || r.Duplicates != 20 || r.Refused != 20 || r.Unanswered != 20 || r.Non2xx() != 40 || r.Latencies.Count() != 200 {
		t.Errorf("accepted %d, duplicates %d, refused %d, unanswered %d, latencies %d", len(r.Accepted), r.Duplicates, r.Refused, r.Unanswered, r.Latencies.Count())
	}
	if len(bodies) != 200 {
		t.Errorf("%d different bodies came", len(bodies))
	}
	// Each 503 and each hang-up costs one connection; the last ones of a sender need no new one.
	if n := opened.Load(); n > 4+40 {
		t.Errorf("%d connections for 200 requests", n)
	}
	for i := 1; i < len(r.Accepted); i++ {
		if r.Accepted[i] <= r.Accepted[i-1] {
			t.Fatalf("accepted: %v", r.Accepted)
		}
	}
}

func TestAStallCountsForEveryRequestThatWasDueMeanwhile(t *testing.T) {
	t.Parallel()
	const stall = 400 * time.Millisecond
	var once sync.Once
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() {
			timer := time.NewTimer(stall)
			defer timer.Stop()
			<-timer.C
		})
		w.WriteHeader(http.StatusAccepted)
	}))
	defer srv.Close()
	// One connection: while it waits for the first answer, 40 more are due. A client that waited before it asked for
	// the time would see one slow answer and a median of nothing.
	r, err := bench.Load{Address: address(srv), Connections: 1, Requests: plain(60), Rate: 100, Timeout: 10 * time.Second}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Latencies.Quantile(500); got < stall/8 {
		t.Errorf("the median is %s", got)
	}
	if got := r.Latencies.Quantile(1000); got < stall {
		t.Errorf("the longest is %s", got)
	}
	if r.Elapsed < 590*time.Millisecond {
		t.Errorf("60 requests at 100 a second took %s", r.Elapsed)
	}
}

func TestSlowSendersComeBackWhenTheyAreCut(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("a body came to its end")
		}
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestTimeout)
	}))
	srv.Config.ReadHeaderTimeout = 50 * time.Millisecond
	srv.Start()
	defer srv.Close()
	l := bench.StartLoris(t.Context(), address(srv), 20)
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for l.Cut() < 100 {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%d cut", l.Cut())
		}
	}
	l.Stop()
	if l.Open() != 0 {
		t.Errorf("%d are open at the end", l.Open())
	}
}
