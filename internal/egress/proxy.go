package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"time"
)

const notListed = "it is not on the list of hosts that the sandbox may reach (SANDBOX_EGRESS_ALLOW)"

// ServeHTTP is one request of a client: a tunnel, or a request for another host in plain HTTP.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		t := p.find(r.Host, "")
		switch {
		case t == nil:
			p.refuse(w, r, r.Host, notListed)
		case t.plain:
			p.refuse(w, r, r.Host, "it is listed for plain HTTP, which goes without a tunnel")
		default:
			p.tunnel(w, r, t)
		}
		return
	}
	if r.URL.Scheme != "http" || r.URL.Host == "" {
		http.Error(w, "this is a proxy: ask it for an http URL, or for a tunnel", http.StatusBadRequest)
		return
	}
	t := p.lookup(r.URL)
	if t == nil {
		p.refuse(w, r, r.URL.Host, notListed)
		return
	}
	t.forward.ServeHTTP(w, r)
}

// forwarder passes requests in plain HTTP on to one target. Targets share no connections.
func (p *Proxy) forwarder(t *target) *httputil.ReverseProxy {
	transport := &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, t) },
		TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: 1 << 20, IdleConnTimeout: dialTimeout,
	}
	return &httputil.ReverseProxy{
		Rewrite: t.rewrite, Transport: transport, ErrorHandler: p.failed,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
}

// rewrite turns a client's request into ours: to the target's own port, over TLS, with its credential.
func (t *target) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme = "https"
	if t.plain {
		r.Out.URL.Scheme = "http"
	}
	r.Out.URL.Host = t.address()
	r.Out.Host = t.host
	if t.port != "443" && t.port != "80" {
		r.Out.Host = t.address()
	}
	if t.credential.Name != "" {
		r.Out.Header.Set(t.credential.Name, t.credential.Value)
	}
}

func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errAddress) {
		p.refuse(w, r, r.URL.Host, errAddress.Error())
		return
	}
	http.Error(w, fmt.Sprintf("sre-agent's proxy could not reach %.200q: %v", r.URL.Host, err), http.StatusBadGateway)
}

// tunnel connects a client with a target and copies until one of them, or the run, ends.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request, t *target) {
	up, err := dial(r.Context(), t)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	defer func() { _ = up.Close() }()
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "no tunnels over this connection", http.StatusInternalServerError)
		return
	}
	defer func() { _ = down.Close() }()
	_ = down.SetDeadline(time.Time{})
	defer context.AfterFunc(r.Context(), func() { _ = errors.Join(up.Close(), down.Close()) })()
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(up, buffered)
		if half, ok := up.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, _ = io.Copy(down, up)
}
