package program

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestARouteThatIsNotThereYetIsUnavailableNotUnknown(t *testing.T) {
	s := &Server{mux: http.NewServeMux(), checks: map[string]func(context.Context) error{}}
	s.mux.HandleFunc("/", s.unknown)
	status := func(path string) int {
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil))
		return w.Code
	}
	if got := status("/webhooks/github"); got != http.StatusServiceUnavailable {
		t.Errorf("while starting: %d", got)
	}
	s.Handle("/webhooks/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	s.Ready("x", func(context.Context) error { return nil })
	if got := status("/webhooks/github"); got != http.StatusAccepted {
		t.Errorf("when started: %d", got)
	}
	if got := status("/elsewhere"); got != http.StatusNotFound {
		t.Errorf("what no program has: %d", got)
	}
}
