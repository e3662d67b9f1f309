package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// dial connects to a target. Each address is judged after the name was looked up and before anything is sent.
func dial(ctx context.Context, t *target) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err != nil || !reachable(addr.Addr(), t.private) {
			return fmt.Errorf("%s: %w", address, errAddress)
		}
		return nil
	}}
	return d.DialContext(ctx, "tcp", t.address())
}

// special are the networks that are not of the public internet, beyond what netip knows: IANA's special-purpose
// registries for IPv4 and IPv6. Those that carry an IPv4 address inside lead wherever that one leads.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// metadata are addresses of cloud metadata services that are not link-local.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// reachable says whether an address may be dialled.
func reachable(addr netip.Addr, private bool) bool {
	addr = addr.Unmap().WithZone("")
	for _, m := range metadata {
		if addr == m {
			return false
		}
	}
	if !addr.IsGlobalUnicast() && !addr.IsLoopback() {
		return false // link-local, multicast, broadcast, unspecified
	}
	if private {
		return true
	}
	if addr.IsLoopback() || addr.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
