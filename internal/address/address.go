// Package address says which addresses are those of the public internet.
//
// It promises that an address which leads into somebody's own network, by whatever way it is written, is not one of
// them. It is pure, and looks at addresses alone: whoever connects asks when a name is resolved and each time again.
package address

import (
	"net/netip"
	"slices"
)

// ranges are those that are not the public internet: loopback, private, link-local (metadata services among them),
// shared, for examples and benchmarks, multicast, reserved, and the ways to write an IPv4 address in IPv6.
// Source: the special-purpose registries of IANA, RFC 6890; 100.100.100.200 and 192.0.0.192 are metadata services.
var ranges = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/9"), netip.MustParsePrefix("ff00::/8"),
}

// Plain is an address without a zone, and as IPv4 where it is IPv4 in an IPv6 address.
func Plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Public says whether an address is one of the public internet.
func Public(a netip.Addr) bool {
	a = Plain(a)
	return a.IsValid() && !slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) })
}
