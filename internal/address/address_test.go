package address_test

import (
	"net/netip"
	"testing"

	"github.com/sre-agent/sre-agent/internal/address"
)

func TestWhatLeadsIntoSomebodysNetworkIsNotPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"93.184.215.14": true, "8.8.8.8": true, "172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true, "223.255.255.255": true, "2606:4700::6810:84e5": true, "2001:4860:4860::8888": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false, "::127.0.0.1": false, "10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "fd00::1": false, "100.64.0.1": false, "100.100.100.200": false, "169.254.169.254": false, "::ffff:a9fe:a9fe": false, "64:ff9b::a9fe:a9fe": false,
		"192.0.0.192": false, "192.0.2.1": false, "198.18.0.1": false, "203.0.113.1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false, "224.0.0.1": false, "240.0.0.1": false,
		"255.255.255.255": false, "fe80::1": false, "fe80::1%lo": false, "fec0::1": false, "ff02::1": false, "2002:7f00:1::": false, "2001:db8::1": false, "fd00:ec2::254": false,
	} {
		if got := address.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is public: %v", text, got)
		}
	}
	if address.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}
