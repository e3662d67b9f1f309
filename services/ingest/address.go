package ingest

import (
	"net/http"
	"net/netip"
	"strings"
)

// client is the address that a request comes from: the peer's, or, when the peer is a trusted proxy, the last in
// X-Forwarded-For that is not one. What stands before that was written by somebody whom nobody vouches for.
func client(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := peer.Addr().Unmap()
	if !within(address, proxies) {
		return address
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return address
		}
		if address = hop.Unmap(); !within(address, proxies) {
			return address
		}
	}
	return address
}

func within(address netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(address) {
			return true
		}
	}
	return false
}

func allowed(address netip.Addr, networks []netip.Prefix) bool {
	return len(networks) == 0 || within(address, networks)
}
