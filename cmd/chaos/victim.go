package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sre-agent/sre-agent/internal/cluster"
	"github.com/sre-agent/sre-agent/internal/embedded"
)

// stopWithin is how long a process may take to end after SIGTERM: longer than the grace period that it is given.
const stopWithin = 20 * time.Second

// thing is what can be killed, paused and started again.
type thing interface {
	Start() error
	Kill()
	Stop() error
	Pause()
	Resume()
	Running() bool
	PID() int
}

// victim is a thing with a name. Whoever does something to it holds mu until it runs again.
type victim struct {
	thing
	name string
	mu   sync.Mutex
}

// program is a process as a thing.
type program struct{ *cluster.Process }

func (p program) Stop() error { return p.Process.Stop(stopWithin) }

// redisServer is a private redis-server as a thing. What it holds is gone with it.
type redisServer struct {
	ctx context.Context //nolint:containedctx // the life of the whole run; a thing's Start has no context
	dir string

	mu  sync.Mutex
	srv *embedded.RedisServer
}

func (r *redisServer) Start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	srv, err := embedded.StartRedisServer(r.ctx, r.dir, nil)
	if err == nil {
		r.srv = srv
	}
	return err
}

// path is where the socket is.
func (r *redisServer) path() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.srv == nil {
		return ""
	}
	u, err := url.Parse(r.srv.URL())
	if err != nil {
		return ""
	}
	return u.Path
}

func (r *redisServer) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", r.path())
}

func (r *redisServer) flush(ctx context.Context) error {
	path := r.path()
	if path == "" {
		return errors.New("redis does not run")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: path, MaxRetries: -1, ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	return client.FlushAll(ctx).Err()
}

func (r *redisServer) Kill() {
	_ = syscall.Kill(r.PID(), syscall.SIGKILL)
	_ = r.Stop()
}

func (r *redisServer) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.srv == nil {
		return nil
	}
	err := r.srv.Stop()
	r.srv = nil
	return err
}

func (r *redisServer) Pause()  { _ = syscall.Kill(r.PID(), syscall.SIGSTOP) }
func (r *redisServer) Resume() { _ = syscall.Kill(r.PID(), syscall.SIGCONT) }

func (r *redisServer) Running() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.srv != nil
}

func (r *redisServer) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.srv == nil {
		return noPID
	}
	return r.srv.PID()
}

// noPID is nobody's process id: more than any kernel gives out.
const noPID = 1 << 30

// postgres is a private PostgreSQL as a thing. Its commits outlive it.
type postgres struct {
	ctx context.Context //nolint:containedctx // as redisServer
	dir string

	mu  sync.Mutex
	srv *embedded.Postgres
	url string
}

func (p *postgres) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	srv, err := embedded.StartPostgres(p.ctx, embedded.PostgresOptions{Dir: p.dir, Fsync: true})
	if err == nil {
		p.srv, p.url = srv, srv.URL()
	}
	return err
}

func (p *postgres) dial(ctx context.Context) (net.Conn, error) {
	p.mu.Lock()
	u, err := url.Parse(p.url)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"))
}

func (p *postgres) Kill() {
	_ = syscall.Kill(p.PID(), syscall.SIGKILL)
	_ = p.Stop()
}

func (p *postgres) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.srv == nil {
		return nil
	}
	err := p.srv.Stop()
	p.srv = nil
	return err
}

// Pause and Resume do nothing: a stopped postmaster's sessions go on, and a silent partition of everybody shows the
// programs the same.
func (p *postgres) Pause()  {}
func (p *postgres) Resume() {}

func (p *postgres) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.srv != nil
}

func (p *postgres) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.srv == nil {
		return noPID
	}
	return p.srv.PID()
}
