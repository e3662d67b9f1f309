package httpapi

import (
	"net/netip"
	"testing"
)

// Nothing is sent: a test has no business with a public address.
func TestAPublicAddressIsNotRefused(t *testing.T) {
	g := &guard{}
	for _, public := range []string{"93.184.215.14:443", "[2606:4700::6810:84e5]:443"} {
		if err := g.control(t.Context(), "tcp", public, nil); err != nil {
			t.Error(err)
		}
	}
	if g.control(t.Context(), "tcp", "10.0.0.1:443", nil) == nil {
		t.Error("a private address is let through")
	}
	g.allowed = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	if err := g.control(t.Context(), "tcp", "10.0.0.1:443", nil); err != nil {
		t.Error(err)
	}
}
