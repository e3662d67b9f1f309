package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// forbidden are the ranges that no API on the internet has and that lead into somebody's own network: loopback,
// private, link-local (metadata services among them), shared, multicast, and the ways to write an IPv4 address in IPv6.
// Source: the special-purpose registries of IANA, RFC 6890; 100.100.100.200 and 192.0.0.192 are metadata services.
func forbidden() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("224.0.0.0/3"), // multicast, reserved, broadcast
		netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
		netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16"),
		netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/9"), netip.MustParsePrefix("ff00::/8"),
	}
}

// Guarded returns a client that connects to public addresses and to the allowed networks alone. It looks at the address
// that a connection is about to be made to, whatever name, redirect or proxy led there, so that a name which resolves
// to something else the second time gains nothing. What it refuses is the permanent error "forbidden_address".
//
// With a proxy from the environment the connection is the proxy's: what lies behind it is the proxy's to decide, apart
// from hosts that are plainly written as a forbidden address.
func Guarded(allowed []netip.Prefix) *http.Client {
	g := &guard{allowed: allowed, forbidden: forbidden()}
	t := newTransport()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, ControlContext: g.control}).DialContext
	return &http.Client{Transport: checked{guard: g, next: t}}
}

type guard struct{ allowed, forbidden []netip.Prefix }

// control runs after names are resolved and before each connection.
func (g *guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.Permf("forbidden_address", "refused to connect: not an internet address")
	}
	return g.check(at.Addr())
}

func (g *guard) check(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	holds := func(p netip.Prefix) bool { return p.Contains(a) }
	if slices.ContainsFunc(g.forbidden, holds) && !slices.ContainsFunc(g.allowed, holds) {
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
