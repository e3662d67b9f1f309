package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/sre-agent/sre-agent/internal/address"
)

// dial connects to a target. Each address is judged after the name was looked up and before anything is sent.
func dial(ctx context.Context, t *target) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, Control: func(_, to string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(to)
		if err != nil || !reachable(addr.Addr(), t.private) {
			return fmt.Errorf("%s: %w", to, errAddress)
		}
		return nil
	}}
	return d.DialContext(ctx, "tcp", t.address())
}

// metadata are addresses of cloud metadata services that are not link-local.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// reachable says whether an address may be dialled: a public one, or, for a host that may be at a private address, any
// but those of metadata services, link-local, multicast, broadcast and unspecified ones.
func reachable(a netip.Addr, private bool) bool {
	a = address.Plain(a)
	if slices.Contains(metadata, a) || !a.IsGlobalUnicast() && !a.IsLoopback() {
		return false
	}
	return private || address.Public(a)
}
