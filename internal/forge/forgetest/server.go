// Package forgetest is a small forge on this machine, for tests and the demo; never for the services.
//
// It serves real git over smart HTTP, the few GitHub REST calls that sre-agent uses, and a web page for each
// pull request. It promises to behave like GitHub where sre-agent can tell the difference: statuses, error
// bodies, redirects, pages, who may write. Every REST request and answer is checked against GitHub's own
// OpenAPI description, and what does not fit is answered 500 and kept in Violations.
package forgetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options says how to start a Server. The zero value works: a temporary folder, a free port, no tokens.
type Options struct {
	// Dir keeps the bare repositories; empty means a temporary folder that Close removes.
	Dir string
	// Addr is where to listen; empty means a free port on 127.0.0.1.
	Addr string
	// ReadTokens may clone and GET; WriteTokens may also push and POST. Without a token nothing is seen.
	ReadTokens  []string
	WriteTokens []string
	// MaxPerPage caps per_page, so that a test needs few items for many pages; 0 means GitHub's 100.
	MaxPerPage int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger takes what goes wrong inside; nil discards it.
	Logger *slog.Logger
}

// Server is a running forge.
type Server struct {
	opts   Options
	git    string // the git program
	dir    string
	url    string
	logURL string
	spec   *spec

	temporary bool // dir goes when the server goes
	servers   []*http.Server
	active    sync.WaitGroup

	mu         sync.Mutex
	repos      map[string]*repo
	hooks      []*hook
	apps       []*App
	grants     map[string]*Grant // by token
	nextID     int64
	requests   []Request
	violations []string
	fault      func(*http.Request) *Fault
	// capabilities are git's first words in protocol version 2; nil until somebody wants them.
	capabilities []byte
}

// Start starts a forge on opts.Addr, and a second listener for the log files that it redirects to.
func Start(opts Options) (*Server, error) {
	s := &Server{opts: opts, repos: map[string]*repo{}, grants: map[string]*Grant{}, nextID: 1000}
	if s.opts.Now == nil {
		s.opts.Now = time.Now
	}
	if s.opts.Logger == nil {
		s.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start forge: %w", err), s.Close())
	}
	return s, nil
}

func (s *Server) start() (err error) {
	if s.git, err = exec.LookPath("git"); err != nil {
		return err
	}
	if s.spec, err = loadSpec(); err != nil {
		return err
	}
	if err := s.makeDir(); err != nil {
		return err
	}
	if s.url, err = s.serve(s.opts.Addr, http.HandlerFunc(s.serveForge)); err != nil {
		return err
	}
	s.logURL, err = s.serve("", http.HandlerFunc(s.serveLogFile))
	return err
}

func (s *Server) makeDir() error {
	if s.opts.Dir == "" {
		dir, err := os.MkdirTemp("", "forgetest-")
		if err != nil {
			return err
		}
		s.dir, s.temporary = dir, true
		return nil
	}
	dir, err := filepath.Abs(s.opts.Dir)
	if err != nil {
		return err
	}
	s.dir = dir
	return os.MkdirAll(dir, 0o755)
}

func (s *Server) serve(addr string, h http.Handler) (string, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", err
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.opts.Logger.Error("forge listener ended", "error", err)
		}
	}()
	s.servers = append(s.servers, srv)
	return "http://" + ln.Addr().String(), nil
}

// Close ends both listeners, waits for what is in hand, and removes the temporary folder.
func (s *Server) Close() error {
	var errs []error
	for _, srv := range s.servers {
		errs = append(errs, stop(srv))
	}
	s.active.Wait()
	if s.temporary {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	s.servers, s.temporary = nil, false
	return errors.Join(errs...)
}

func stop(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		return srv.Close()
	}
	return nil
}

// URL is the forge's root, for people.
func (s *Server) URL() string { return s.url }

// APIURL is the root of the REST API.
func (s *Server) APIURL() string { return s.url + "/api/v3" }

// LogURL is the root of the other host, where logs are stored.
func (s *Server) LogURL() string { return s.logURL }

// Violations lists everything that did not fit GitHub's description or its habits. A test asserts it is empty.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

func (s *Server) violation(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	s.opts.Logger.Error("forge: violation", "what", text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, text)
	return text
}

// route sends a request to git, the API or a page, and returns the refs that a push asked to change.
func (s *Server) route(w http.ResponseWriter, r *http.Request) []RefUpdate {
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api" && parts[1] == "v3":
		s.serveAPI(w, r, parts[2:])
	case len(parts) > 2 && strings.HasSuffix(parts[1], ".git"):
		return s.serveGit(w, r, parts[0], strings.TrimSuffix(parts[1], ".git"), strings.Join(parts[2:], "/"))
	case len(parts) == 4 && parts[2] == "pull" && r.Method == http.MethodGet:
		s.servePage(w, parts[0], parts[1], parts[3])
	case len(parts) == 5 && parts[2] == "actions" && parts[3] == "runs" && r.Method == http.MethodGet:
		s.serveRun(w, parts[0], parts[1], parts[4])
	default:
		http.NotFound(w, r)
	}
	return nil
}

// access is what a token may do.
type access int

const (
	noToken access = iota
	badToken
	mayRead
	mayWrite
)

// access is what a token may do in a repository.
func (s *Server) access(token, owner, name string) access {
	g := s.grantOf(token)
	switch {
	case token == "":
		return noToken
	case g != nil:
		return g.access(owner, name, s.opts.Now())
	case slices.Contains(s.opts.WriteTokens, token):
		return mayWrite
	case slices.Contains(s.opts.ReadTokens, token):
		return mayRead
	}
	return badToken
}
