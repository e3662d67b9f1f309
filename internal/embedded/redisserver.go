package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	redisReadyWithin = 15 * time.Second
	redisStopWithin  = 5 * time.Second
)

// RedisServer is a private redis-server that keeps everything in memory and listens on a unix socket only.
type RedisServer struct {
	proc   *proc
	lock   *os.File
	socket socketDir
}

// StartRedisServer starts the machine's own redis-server with its socket in dir. It has 256 databases, so that
// tests can have one each.
func StartRedisServer(ctx context.Context, dir string, log *slog.Logger) (*RedisServer, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("start redis-server: it is not installed (apt-get install redis-server, or brew install redis): %w", err)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	r := &RedisServer{lock: lock}
	if err := r.start(ctx, bin, dir, orDiscard(log).With("part", "redis")); err != nil {
		r.release()
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	return r, nil
}

func (r *RedisServer) start(ctx context.Context, bin, dir string, log *slog.Logger) error {
	var err error
	if r.socket, err = newSocketDir(dir, "redis.sock", nil); err != nil {
		return err
	}
	path := filepath.Join(r.socket.path, "redis.sock")
	cmd := exec.Command(bin, "--port", "0", "--unixsocket", path, "--unixsocketperm", "700", //nolint:noctx // it outlives ctx; Stop ends it
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--databases", "256", "--dir", dir)
	cmd.Dir, cmd.Env = dir, bareEnv()
	if r.proc, err = startProc(cmd, nil, syscall.SIGKILL, log); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: path, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	err = waitReady(ctx, r.proc, redisReadyWithin, func(ctx context.Context) error { return client.Ping(ctx).Err() })
	if err != nil {
		_ = r.proc.stop(syscall.SIGKILL, redisStopWithin)
	}
	return err
}

// URL is where clients connect, such as unix:///run/x/redis.sock?db=0.
func (r *RedisServer) URL() string {
	u := url.URL{Scheme: "unix", Path: filepath.Join(r.socket.path, "redis.sock"), RawQuery: "db=0"}
	return u.String()
}

// PID is the server's process id.
func (r *RedisServer) PID() int { return r.proc.cmd.Process.Pid }

// Stop ends the server; what it held is gone.
func (r *RedisServer) Stop() error {
	defer r.release()
	return r.proc.stop(syscall.SIGTERM, redisStopWithin)
}

func (r *RedisServer) release() {
	r.socket.remove()
	_ = r.lock.Close()
}

// waitReady asks probe until it succeeds, the process ends, or the time is over.
func waitReady(ctx context.Context, p *proc, within time.Duration, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s ended (%w): %s", p.cmd.Path, p.waitError(), p.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("not ready (%w), last: %w: %s", ctx.Err(), err, p.lastLines())
		}
	}
}
