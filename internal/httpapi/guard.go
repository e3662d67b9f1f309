package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/sre-agent/sre-agent/internal/address"
	"github.com/sre-agent/sre-agent/internal/fault"
)

// Guarded returns a client that connects to public addresses and to the allowed networks alone. It looks at the address
// that a connection is about to be made to, whatever name, redirect or proxy led there, so that a name which resolves
// to something else the second time gains nothing. What it refuses is the permanent error "forbidden_address".
//
// With a proxy from the environment the connection is the proxy's: what lies behind it is the proxy's to decide, apart
// from hosts that are plainly written as a forbidden address.
func Guarded(allowed []netip.Prefix) *http.Client {
	g := &guard{allowed: allowed}
	t := newTransport()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, ControlContext: g.control}).DialContext
	return &http.Client{Transport: checked{guard: g, next: t}}
}

type guard struct{ allowed []netip.Prefix }

// control runs after names are resolved and before each connection.
func (g *guard) control(_ context.Context, _, to string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(to)
	if err != nil {
		return fault.Permf("forbidden_address", "refused to connect: not an internet address")
	}
	return g.check(at.Addr())
}

func (g *guard) check(a netip.Addr) error {
	a = address.Plain(a)
	if !address.Public(a) && !slices.ContainsFunc(g.allowed, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return fault.Permf("forbidden_address", "refused to connect to %s: it is in no public network, nor in API_ALLOWED_NETWORKS", a)
	}
	return nil
}

// checked looks at hosts that are written as addresses before a proxy can.
type checked struct {
	guard *guard
	next  http.RoundTripper
}

func (c checked) RoundTrip(req *http.Request) (*http.Response, error) {
	if a, err := netip.ParseAddr(req.URL.Hostname()); err == nil {
		if err := c.guard.check(a); err != nil {
			return nil, err
		}
	}
	return c.next.RoundTrip(req)
}
