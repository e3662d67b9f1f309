package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Mode is what a proxy does to the traffic.
type Mode int

// The modes. Open: all passes. Refused: connections are cut and new ones closed at once. Silent: nothing passes and
// nothing is closed, as when packets are lost. Mute: requests pass and answers do not, so that effects happen whose
// replies are lost; when that ends, the connections are cut.
const (
	Open Mode = iota
	Refused
	Silent
	Mute
)

func (m Mode) String() string { return [...]string{"open", "refused", "silent", "mute"}[m] }

// Proxy stands between one program and one thing that it depends on.
type Proxy struct {
	ln   net.Listener
	dial func(context.Context) (net.Conn, error)

	mu      sync.Mutex
	mode    Mode
	changed chan struct{}
	links   map[*link]struct{}
	wg      sync.WaitGroup
}

// NewProxy listens on network and addr ("tcp" or "unix") and passes on to what dial returns, until Close.
func NewProxy(ctx context.Context, network, addr string, dial func(context.Context) (net.Conn, error)) (*Proxy, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{ln: ln, dial: dial, changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.wg.Go(func() { p.accept(ctx) })
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Close ends the proxy and all connections.
func (p *Proxy) Close() {
	_ = p.ln.Close()
	p.Set(Refused)
	p.wg.Wait()
}

// Set changes what the proxy does.
func (p *Proxy) Set(mode Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if mode == Refused || p.mode == Mute && mode != Mute {
		for l := range p.links {
			l.close()
		}
	}
	p.mode = mode
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		p.wg.Go(func() { p.serve(ctx, client) })
	}
}

func (p *Proxy) serve(ctx context.Context, client net.Conn) {
	l := &link{client: client, gone: make(chan struct{})}
	defer l.close()
	if !p.add(l) {
		return
	}
	defer p.remove(l)
	server, err := p.dial(ctx)
	if err != nil || !l.attach(server) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.pump(l, server, client, true) })
	p.pump(l, client, server, false)
	wg.Wait()
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == Refused {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// pump copies one direction and holds back what the mode does not let pass.
func (p *Proxy) pump(l *link, to, from net.Conn, request bool) {
	defer l.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.wait(l, request) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait waits until the direction is open; false: the connection is gone.
func (p *Proxy) wait(l *link, request bool) bool {
	for {
		p.mu.Lock()
		passes, changed := p.mode == Open || p.mode == Mute && request, p.changed
		p.mu.Unlock()
		select {
		case <-l.gone:
			return false
		default:
		}
		if passes {
			return true
		}
		select {
		case <-changed:
		case <-l.gone:
			return false
		}
	}
}

// link is one connection through the proxy.
type link struct {
	client net.Conn

	mu     sync.Mutex
	server net.Conn
	closed bool
	gone   chan struct{}
}

func (l *link) attach(server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = server.Close()
		return false
	}
	l.server = server
	return true
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.gone)
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
}
