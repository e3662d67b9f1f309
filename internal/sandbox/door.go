package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

// door is how a sandbox's network gets to this program: a socket file that is shown inside, by which our own program
// in there hands out the listener that it has opened. The script runs after that and finds nobody behind the file.
//
// So the sandbox has no route and no forwarder: its proxy's port is answered from outside, by this program.
type door struct {
	dir  string
	ln   *net.UnixListener
	stop context.CancelFunc
}

// maxConnections bounds the files that a script makes this program open.
const maxConnections = 64

func openDoor(id identity) (_ *door, err error) {
	d := &door{stop: func() {}}
	if d.dir, err = os.MkdirTemp("", "sandbox-door-"); err != nil {
		return nil, fmt.Errorf("open a door: %w", err)
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if err := os.Chmod(d.dir, 0o711); err != nil {
		return nil, fmt.Errorf("open a door: %w", err)
	}
	if d.ln, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: d.path()}); err != nil {
		return nil, fmt.Errorf("open a door: %w", err)
	}
	if err := errors.Join(os.Chmod(d.path(), 0o600), id.own(d.path())); err != nil {
		return nil, fmt.Errorf("open a door: %w", err)
	}
	return d, nil
}

func (d *door) path() string { return filepath.Join(d.dir, "door") }

// answer waits for the listener from inside and has the proxy answer there. It gives up when the sandbox is gone.
func (d *door) answer(gone <-chan struct{}, proxy http.Handler, log *slog.Logger) error {
	_ = d.ln.SetDeadline(time.Now().Add(startTime))
	waited := make(chan struct{})
	defer close(waited)
	go func() {
		select {
		case <-gone:
			_ = d.ln.Close()
		case <-waited:
		}
	}()
	conn, err := d.ln.AcceptUnix()
	if err != nil {
		return fmt.Errorf("nobody inside answered; does main call sandbox.Inside first?: %w", err)
	}
	_ = d.ln.Close() // the script, which comes after, is not to be heard
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(startTime))
	ln, err := receiveListener(conn)
	if err != nil {
		return fmt.Errorf("receive the proxy's port: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{
		Handler: proxy, ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 1 << 16,
		BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	d.stop = func() {
		cancel() // ends the tunnels, which the server knows nothing of any more
		_ = server.Close()
	}
	go func() { _ = server.Serve(netutil.LimitListener(ln, maxConnections)) }()
	_, err = conn.Write([]byte{1})
	return err
}

func receiveListener(conn *net.UnixConn) (net.Listener, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("%d files: %w", len(fds), err)
	}
	unix.CloseOnExec(fds[0])
	f := os.NewFile(uintptr(fds[0]), "proxy")
	defer func() { _ = f.Close() }()
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	if ln.Addr().String() != proxyAddress {
		_ = ln.Close()
		return nil, fmt.Errorf("it is %s", ln.Addr())
	}
	return ln, nil
}

func (d *door) close() {
	if d == nil {
		return
	}
	d.stop()
	if d.ln != nil {
		_ = d.ln.Close()
	}
	_ = os.RemoveAll(d.dir)
}

// proxyEnvironment tells the usual programs to use the proxy. Java's tell nothing to each other, and look nowhere else.
func proxyEnvironment() map[string]string {
	env := map[string]string{
		"NODE_USE_ENV_PROXY": "1",
		"JAVA_TOOL_OPTIONS": "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128 " +
			"-Dhttp.nonProxyHosts= -Djava.net.useSystemProxies=false",
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "YARN_HTTP_PROXY", "YARN_HTTPS_PROXY"} {
		env[name] = "http://" + proxyAddress
	}
	return env
}
