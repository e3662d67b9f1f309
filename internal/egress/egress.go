// Package egress is the only way out of a sandbox that may have a network: an HTTP proxy with a list of hosts.
//
// It promises:
//   - Only hosts of the list are reached, on their listed port, and over TLS unless the list says otherwise.
//   - The address is judged when it is dialled, after the name was looked up: a name of the list that leads to a
//     private, loopback or link-local address leads nowhere, unless the host is listed as a private one. A cloud's
//     metadata address is never reached.
//   - A credential is added here, for its host alone, so whoever uses the proxy doesn't have it.
//   - A refusal says which host and why, and is logged.
package egress

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Config is what New is told. A host is "name", "name:port", or "http://name:port" for one that speaks no TLS.
type Config struct {
	// Allow are the hosts that may be reached at public addresses.
	Allow []string
	// Private are further hosts, which may be at private addresses.
	Private []string
	// Credentials are headers that are added to requests for a host. A client gets them added by speaking plain HTTP to
	// the proxy, which goes on over TLS: into a tunnel nothing can be added.
	Credentials map[string]Header
	Log         *slog.Logger
}

// Header is one header of a request.
type Header struct{ Name, Value string }

// LogValue keeps the value out of logs.
func (h Header) LogValue() slog.Value { return slog.StringValue(h.Name) }

// String keeps the value out of messages.
func (h Header) String() string { return h.Name }

// target is one host of the list.
type target struct {
	host, port string
	plain      bool
	private    bool
	credential Header
	forward    *httputil.ReverseProxy
}

// Proxy is an http.Handler that answers as a proxy. It is safe for concurrent use.
type Proxy struct {
	targets map[string]*target // by host:port
	log     *slog.Logger
}

// New checks the list. An empty one is right, and lets nothing through.
func New(cfg Config) (*Proxy, error) {
	p := &Proxy{targets: map[string]*target{}, log: cfg.Log}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	for _, list := range []struct {
		hosts   []string
		private bool
	}{{cfg.Allow, false}, {cfg.Private, true}} {
		for _, text := range list.hosts {
			t, err := parse(text)
			if err != nil {
				return nil, err
			}
			t.private = list.private
			p.targets[t.address()] = t
		}
	}
	for host, header := range cfg.Credentials {
		t, err := parse(host)
		if err != nil {
			return nil, err
		}
		listed := p.targets[t.address()]
		if listed == nil {
			return nil, fmt.Errorf("egress: there is a credential for %s, which is not on the list", host)
		}
		listed.credential = header
	}
	for _, t := range p.targets {
		t.forward = p.forwarder(t)
	}
	return p, nil
}

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`)

func parse(text string) (*target, error) {
	rest, plain := strings.CutPrefix(text, "http://")
	t := &target{host: rest, port: "443", plain: plain}
	if host, port, err := net.SplitHostPort(rest); err == nil {
		t.host, t.port = host, port
	} else if plain {
		t.port = "80"
	}
	t.host = canonical(t.host)
	n, err := strconv.Atoi(t.port)
	literal := net.ParseIP(t.host) != nil
	if err != nil || n < 1 || n > 65535 || !literal && !hostName.MatchString(t.host) {
		return nil, fmt.Errorf("egress: %.100q is no host: want name, name:port or http://name:port", text)
	}
	return t, nil
}

// canonical is a host's name as the list has it: names are the same in capitals and with a last dot.
func canonical(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func (t *target) address() string { return net.JoinHostPort(t.host, t.port) }

// find is the target of a tunnel, which names its port, or of a request, which need not.
func (p *Proxy) find(hostport, defaultPort string) *target {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), defaultPort
	}
	return p.targets[net.JoinHostPort(canonical(host), port)]
}

// lookup is the target that a request in plain HTTP means: the port that it names, else TLS, else plain HTTP.
func (p *Proxy) lookup(u *url.URL) *target {
	if u.Port() != "" && u.Port() != "80" {
		return p.find(u.Host, "")
	}
	return cmp.Or(p.find(u.Hostname(), "443"), p.find(u.Hostname(), "80"))
}

const dialTimeout = 15 * time.Second

var errAddress = errors.New("its address is not a public one (SANDBOX_EGRESS_PRIVATE lists the hosts that may have such)")

// refuse answers with the reason also in the status line, which is all that many a client shows of a tunnel's refusal.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, host string, why string) {
	p.log.WarnContext(r.Context(), "the sandbox was refused a connection", "host", fmt.Sprintf("%.200q", host), "why", why)
	text := fmt.Sprintf("sre-agent's proxy refused %.200q: %s", host, why)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, text, http.StatusForbidden)
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(dialTimeout))
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 403 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n", text, len(text)+1, text)
}
