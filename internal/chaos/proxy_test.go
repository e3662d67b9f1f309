package chaos

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echoServer answers each line with itself and tells lines of what it got.
func echoServer(t *testing.T) (dial func(context.Context) (net.Conn, error), lines chan string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	lines = make(chan string, 100)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for in := bufio.NewScanner(conn); in.Scan(); {
					lines <- in.Text()
					if _, err := io.WriteString(conn, in.Text()+"\n"); err != nil {
						return
					}
				}
			}()
		}
	}()
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
	}, lines
}

type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func connect(t *testing.T, p *Proxy) *client {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, Conn: conn, in: bufio.NewReader(conn)}
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hear(within time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	line, err := c.in.ReadString('\n')
	return line, err
}

func (c *client) wantEcho(line string) {
	c.t.Helper()
	if got, err := c.hear(5 * time.Second); err != nil || got != line+"\n" {
		c.t.Fatalf("heard %q, %v; want %q", got, err, line)
	}
}

func (c *client) wantCut() {
	c.t.Helper()
	if got, err := c.hear(5 * time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("heard %q, %v; want the connection cut", got, err)
	}
}

func newTestProxy(t *testing.T) (*Proxy, chan string) {
	t.Helper()
	dial, lines := echoServer(t)
	p, err := NewProxy(t.Context(), "tcp", "127.0.0.1:0", dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, lines
}

func TestAnOpenProxyPassesEverything(t *testing.T) {
	p, _ := newTestProxy(t)
	c := connect(t, p)
	c.say("hello")
	c.wantEcho("hello")
}

func TestARefusingProxyCutsWhatIsOpenAndWhatIsNew(t *testing.T) {
	p, _ := newTestProxy(t)
	c := connect(t, p)
	c.say("hello")
	c.wantEcho("hello")
	p.Set(Refused)
	c.wantCut()
	connect(t, p).wantCut()
	p.Set(Open)
	again := connect(t, p)
	again.say("back")
	again.wantEcho("back")
}

func TestASilentProxyHoldsEverythingAndGoesOnLater(t *testing.T) {
	p, lines := newTestProxy(t)
	c := connect(t, p)
	c.say("hello")
	c.wantEcho("hello")
	<-lines
	p.Set(Silent)
	c.say("held")
	if got, err := c.hear(200 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %q, %v", got, err)
	}
	select {
	case line := <-lines:
		t.Fatalf("%q got through", line)
	default:
	}
	p.Set(Open)
	c.wantEcho("held")
}

func TestAMuteProxyLosesTheAnswerAfterTheEffect(t *testing.T) {
	p, lines := newTestProxy(t)
	c := connect(t, p)
	c.say("hello")
	c.wantEcho("hello")
	<-lines
	p.Set(Mute)
	c.say("effect")
	select {
	case line := <-lines:
		if line != "effect" {
			t.Fatalf("the server got %q", line)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the request did not get through")
	}
	if got, err := c.hear(200 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %q, %v", got, err)
	}
	p.Set(Open)
	c.wantCut()
}
