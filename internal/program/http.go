package program

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// Server is a program's one HTTP server.
type Server struct {
	mux *http.ServeMux
	srv *http.Server
	ln  net.Listener
	// certFile and keyFile are the PEM files to speak TLS with; empty for plain HTTP.
	certFile, keyFile string

	mu     sync.Mutex
	checks map[string]func(context.Context) error
}

func newServer(cfg *config.Config, tel *telemetry.Telemetry) *Server {
	s := &Server{mux: http.NewServeMux(), checks: map[string]func(context.Context) error{}}
	s.certFile, s.keyFile = cfg.WebhookTLSCertFile, cfg.WebhookTLSKeyFile
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /metrics", tel.Handler())
	s.mux.HandleFunc("/", s.unknown)
	s.srv = &http.Server{
		Addr: cfg.HTTPAddr, Handler: s.mux, MaxHeaderBytes: 64 << 10,
		ReadHeaderTimeout: cfg.WebhookHeaderTimeout(), ReadTimeout: cfg.WebhookReadTimeout(), IdleTimeout: cfg.WebhookIdleTimeout(),
		WriteTimeout: cfg.WebhookReadTimeout() + cfg.WebhookPublishTimeout() + 5*time.Second,
	}
	return s
}

// Handle adds a route.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Ready adds a check to /readyz.
func (s *Server) Ready(name string, check func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks[name] = check
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string {
	if s.ln == nil {
		return s.srv.Addr
	}
	return s.ln.Addr().String()
}

func (s *Server) start(failed context.CancelCauseFunc) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", s.srv.Addr)
	if err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	s.ln = ln
	serve := s.srv.Serve
	if s.certFile != "" {
		certificate, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
		if err != nil {
			_ = ln.Close()
			return fmt.Errorf("WEBHOOK_TLS_CERT_FILE, WEBHOOK_TLS_KEY_FILE: %w", err)
		}
		s.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		serve = func(ln net.Listener) error { return s.srv.ServeTLS(ln, "", "") }
	}
	go func() {
		if err := serve(ln); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("HTTP server: %w", err))
		}
	}()
	return nil
}

func (s *Server) stop(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = s.srv.Shutdown(ctx) // what is still open after the grace period is cut
}

// unknown answers what has no route. While the program starts, the route may only not be there yet: a sender must not
// take a 404 for the last word.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	starting := len(s.checks) == 0
	s.mu.Unlock()
	if starting {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	http.NotFound(w, r)
}

// readyz says of each dependency whether it answers: 200 when all do, else 503.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	s.mu.Lock()
	checks := make(map[string]func(context.Context) error, len(s.checks))
	for name, check := range s.checks {
		checks[name] = check
	}
	s.mu.Unlock()
	code, states := http.StatusOK, map[string]string{}
	for name, check := range checks {
		states[name] = "ok"
		if err := check(ctx); err != nil {
			code, states[name] = http.StatusServiceUnavailable, err.Error()
		}
	}
	if len(checks) == 0 {
		code, states["program"] = http.StatusServiceUnavailable, "starting"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(states)
}
