package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/sre-agent/sre-agent/internal/embedded"
)

// server is one that the tests of this program share: named by a variable, or started by the first who asks.
type server struct {
	variable string
	start    func(ctx context.Context, dir string) (url string, pid int, err error)

	once sync.Once
	url  string
	pid  int // of one that we started
	err  error
}

// The one state that a test program has: its servers cannot come in through a constructor, since go test has none.
var (
	postgresServer = server{variable: DatabaseURLVar, start: func(ctx context.Context, dir string) (string, int, error) {
		p, err := embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: dir})
		if err != nil {
			return "", 0, err
		}
		return p.URL(), p.PID(), nil
	}}
	redisServer = server{variable: RedisURLVar, start: func(ctx context.Context, dir string) (string, int, error) {
		r, err := embedded.StartRedisServer(ctx, dir, nil)
		if err != nil {
			return "", 0, err
		}
		return r.URL(), r.PID(), nil
	}}
)

// get returns the server's URL, starting it first where nobody has.
func (s *server) get(t testing.TB) string {
	t.Helper()
	s.once.Do(func() {
		if s.url = os.Getenv(s.variable); s.url != "" {
			return
		}
		ctx, cancel := setUpContext(t)
		defer cancel()
		s.url, s.err = s.private(ctx)
	})
	if s.err != nil {
		t.Fatalf("%v (or set %s to a server that tests may use)", s.err, s.variable)
	}
	return s.url
}

func (s *server) private(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "sre-test-")
	if err != nil {
		return "", err
	}
	var url string
	url, s.pid, err = s.start(ctx, dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", err
	}
	if err := watch(dir, s.pid); err != nil {
		_ = syscall.Kill(s.pid, syscall.SIGTERM)
		return "", err
	}
	return url, nil
}

// watch lets a shell outlive this program, to end the server and clear its folder then. A test program ends in ways
// that run no code of ours (a panic, a timeout, a kill), but its end of the pipe closes in all of them.
func watch(dir string, pid int) error {
	const script = `read _; kill -INT "$1"; n=0
while kill -0 "$1" && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
rm -rf "$2"`
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	cmd := exec.Command("/bin/sh", "-c", script, "sh", strconv.Itoa(pid), filepath.Clean(dir)) //nolint:noctx // it outlives us
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return fmt.Errorf("watch over %s: %w", dir, err)
	}
	openPipes.keep(w)
	return nil
}

// openPipes keeps the watchers' pipes from being closed by the garbage collector.
var openPipes pipes

type pipes struct {
	mu   sync.Mutex
	open []*os.File
}

func (p *pipes) keep(w *os.File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, w)
}
