package store

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

func TestConnectionsNoticeAHostThatIsGone(t *testing.T) {
	t.Parallel()
	var cfg pgx.ConnConfig
	dialWell(&cfg)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	conn, err := cfg.DialFunc(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string]struct{ number, want int }{
		"TCP_USER_TIMEOUT": {unix.TCP_USER_TIMEOUT, 15_000},
		"TCP_KEEPIDLE":     {unix.TCP_KEEPIDLE, 5},
		"TCP_KEEPINTVL":    {unix.TCP_KEEPINTVL, 5},
		"TCP_KEEPCNT":      {unix.TCP_KEEPCNT, 3},
	} {
		err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, opt.number); err != nil || got != opt.want {
				t.Errorf("%s is %d, %v; want %d", name, got, err, opt.want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAUNIXSocketIsDialledAsBefore(t *testing.T) {
	t.Parallel()
	var cfg pgx.ConnConfig
	dialWell(&cfg)
	path := filepath.Join(t.TempDir(), "s")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	conn, err := cfg.DialFunc(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
