package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dribble is how often a connection gets one more byte.
	dribble = 2 * time.Second
	// reopen is how long a sender waits after a connection that was refused.
	reopen = 250 * time.Millisecond
)

// Loris holds connections open with requests that never end: half of them never finish their head, half have a whole
// head with a signature that could be one and a body that dribbles. Each that is cut is opened again.
type Loris struct {
	open, cut atomic.Int64
	stop      context.CancelFunc
	wg        sync.WaitGroup
}

// StartLoris begins to open connections to host:port. End it with Stop.
func StartLoris(ctx context.Context, address string, connections int) *Loris {
	l := &Loris{}
	ctx, l.stop = context.WithCancel(ctx)
	for i := range connections {
		l.wg.Go(func() { l.hold(ctx, address, i) })
	}
	return l
}

// Open is how many connections are open now.
func (l *Loris) Open() int { return int(l.open.Load()) }

// Cut is how many connections the server has ended so far.
func (l *Loris) Cut() int { return int(l.cut.Load()) }

// Stop closes them all.
func (l *Loris) Stop() {
	l.stop()
	l.wg.Wait()
}

func (l *Loris) hold(ctx context.Context, address string, i int) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if runtime.GOOS == "linux" { // where all of 127/8 is the machine itself: one address has too few ports
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%32))}
	}
	for ctx.Err() == nil {
		if nc, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			l.open.Add(1)
			l.starve(ctx, nc, i)
			l.open.Add(-1)
			_ = nc.Close()
			continue
		}
		select {
		case <-time.After(reopen):
		case <-ctx.Done():
		}
	}
}

// starve sends a byte now and then until the server has had enough.
func (l *Loris) starve(ctx context.Context, nc net.Conn, i int) {
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	if _, err := nc.Write([]byte(lorisHead(i))); err != nil {
		return
	}
	answer := make([]byte, 512)
	for ctx.Err() == nil {
		_ = nc.SetReadDeadline(time.Now().Add(dribble))
		if _, err := nc.Read(answer); !errors.Is(err, os.ErrDeadlineExceeded) {
			if ctx.Err() == nil {
				l.cut.Add(1)
			}
			return
		}
		if _, err := nc.Write([]byte("a")); err != nil {
			continue // the next read says how it ended
		}
	}
}

func lorisHead(i int) string {
	head := "POST /webhooks/github HTTP/1.1\r\nHost: localhost\r\nUser-Agent: GitHub-Hookshot/044aadd\r\n"
	if i%2 == 0 {
		return head + "X-Slow: "
	}
	return head + fmt.Sprintf("Content-Type: application/json\r\nX-GitHub-Event: workflow_run\r\nX-GitHub-Delivery: %s\r\n", deliveryID(i)) +
		"X-Hub-Signature-256: sha256=" + strings.Repeat("5e", 32) + "\r\nContent-Length: 10240\r\n\r\n{"
}
