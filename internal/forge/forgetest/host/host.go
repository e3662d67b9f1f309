// Package host is what the doubles of several forges have in common: real git over smart HTTP, repositories, forks,
// pull requests, comments, statuses and people, all without an API. Each double puts its forge's API on top.
//
// It promises that what people do takes effect at once and is seen the same through git and through the API, and that
// a request can be failed or lost as forgetest's can. It is for tests and the demo; never for the services.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
)

// Prefix is where every host is below its address: a self-managed server need not be at the root.
const Prefix = "/forge"

// The tokens of every host, and who is behind them.
const (
	WriteToken = "the-write-token-of-a-robot"
	ReadToken  = "the-read-token-of-a-reader"
	Robot      = "sre-agent"
	Looker     = "looker"
)

// API answers a forge's own requests. It is called with no lock held.
type API func(http.ResponseWriter, *http.Request)

// Host is a running forge without an API of its own.
type Host struct {
	git   *forgetest.Server
	proxy *httputil.ReverseProxy
	dir   string
	url   string
	srv   *http.Server
	api   API

	mu         sync.Mutex
	repos      map[string]*Repo
	users      []string
	nextID     int64
	clock      time.Time
	fault      func(*http.Request) *forgetest.Fault
	violations []string
}

// Start starts a host on a free port of 127.0.0.1.
func Start(api func(*Host) API) (*Host, error) {
	h := &Host{repos: map[string]*Repo{}, nextID: 100, clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), users: []string{Robot, Looker}}
	h.api = api(h)
	if err := h.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start host: %w", err), h.Stop())
	}
	return h, nil
}

func (h *Host) start() (err error) {
	if h.dir, err = os.MkdirTemp("", "forgehost-"); err != nil {
		return err
	}
	if h.git, err = forgetest.Start(forgetest.Options{Dir: h.dir, ReadTokens: []string{ReadToken}, WriteTokens: []string{WriteToken}}); err != nil {
		return err
	}
	inner, err := url.Parse(h.git.URL())
	if err != nil {
		return err
	}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn)
	h.proxy = &httputil.ReverseProxy{ErrorLog: quiet, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(inner) }}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.url = "http://" + ln.Addr().String() + Prefix
	h.srv = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	go func() { _ = h.srv.Serve(ln) }()
	return nil
}

// Stop ends the host and removes its repositories.
func (h *Host) Stop() error {
	var errs []error
	if h.srv != nil {
		errs = append(errs, h.srv.Close())
	}
	if h.git != nil {
		errs = append(errs, h.git.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(h.dir))...)
}

// URL is the host's address, for people and for git.
func (h *Host) URL() string { return h.url }

// Violations are what did not fit the forge's own contract.
func (h *Host) Violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.violations)
}

// Violation notes something that does not fit the contract, and returns it.
func (h *Host) Violation(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.violations = append(h.violations, text)
	return text
}

// Permission says what a token may do anywhere, and whose it is.
func (h *Host) Permission(token string) (forge.Permission, string) {
	switch token {
	case WriteToken:
		return forge.WritePermission, Robot
	case ReadToken:
		return forge.ReadPermission, Looker
	}
	return forge.NoPermission, ""
}

// UserID is the number of a person, or 0 for nobody. The caller holds the lock.
func (h *Host) UserID(login string) int64 { return int64(slices.Index(h.users, login) + 1) }

// User is the person with a number, or "". The caller holds the lock.
func (h *Host) User(id int64) string {
	if id < 1 || id > int64(len(h.users)) {
		return ""
	}
	return h.users[id-1]
}

func (h *Host) meet(login string) {
	if !slices.Contains(h.users, login) {
		h.users = append(h.users, login)
	}
}

// tick gives every event a time of its own.
func (h *Host) tick() time.Time {
	h.clock = h.clock.Add(time.Second)
	return h.clock
}

func (h *Host) id() int64 {
	h.nextID++
	return h.nextID
}

func key(owner, name string) string { return strings.ToLower(owner + "/" + name) }

// WithID is With for a repository by its number.
func (h *Host) WithID(id int64, f func(*Repo)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h.ByID(id))
}

// With runs f under the lock on a repository, whose pull requests are up to date with its branches; nil when there is
// no such repository.
func (h *Host) With(owner, name string, f func(*Repo)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	re := h.repos[key(owner, name)]
	if re != nil {
		h.sync(re)
	}
	f(re)
}
