package payload_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

func TestParseGitAddressReadsEveryWayToWriteIt(t *testing.T) {
	for _, tt := range []struct{ name, address, want string }{
		{"https", "https://github.com/acme/shop.git", "https://github.com/acme/shop.git"},
		{"https without .git and with a slash", "https://github.com/acme/shop/", "https://github.com/acme/shop.git"},
		{"https with its own port", "https://GitHub.com:443/acme/shop", "https://github.com/acme/shop.git"},
		{"https with another port", "https://git.example.com:8443/acme/shop", "https://git.example.com:8443/acme/shop.git"},
		{"http stays http", "http://127.0.0.1:3000/acme/shop.git", "http://127.0.0.1:3000/acme/shop.git"},
		{"credentials are dropped", "https://user:pass@github.com/acme/shop.git", "https://github.com/acme/shop.git"},
		{"ssh drops its port", "ssh://git@github.com:2222/acme/shop.git", "https://github.com/acme/shop.git"},
		{"the form of scp", "git@gitlab.com:acme/tools/shop.git", "https://gitlab.com/acme/tools/shop.git"},
		{"git's own protocol", "git://github.com/acme/shop.git", "https://github.com/acme/shop.git"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, ok := payload.ParseGitAddress(tt.address)
			if !ok || a.CloneURL() != tt.want {
				t.Errorf("ParseGitAddress(%q) = %q, %v; want %q", tt.address, a.CloneURL(), ok, tt.want)
			}
		})
	}
	a, _ := payload.ParseGitAddress("git@GitHub.com:Acme/Shop.git")
	if diff := cmp.Diff([]string{"github.com/acme/shop", "Acme/Shop"}, []string{a.ID(), a.FullName()}); diff != "" {
		t.Error(diff)
	}
}

func TestParseGitAddressRefuses(t *testing.T) {
	for _, address := range []string{
		"", "shop", "/srv/git/shop.git", "file:///etc/passwd", "ext::sh -c id", "https://github.com/shop", "https:///acme/shop",
		"https://github.com/acme/shop?x=1", "https://github.com/acme/shop#x", "https://github.com/acme/../shop", "https://github.com/acme/%20",
		"git@-oProxyCommand=id:acme/shop", "ssh://-oProxyCommand=id/acme/shop", "https://host_name/acme/shop", "https://github.com/a\x00b/shop",
		"git@github.com:acme:x/shop", "https://github.com/acme/" + strings.Repeat("n", 101), strings.Repeat("h", 3000), "https://[::1]/acme/shop",
	} {
		if a, ok := payload.ParseGitAddress(address); ok {
			t.Errorf("ParseGitAddress(%q) = %q", address, a.CloneURL())
		}
	}
}

func TestMemberText(t *testing.T) {
	body := []byte(`{"a":{"b":"x","n":1,"b":"last"},"s":"\u00e9"}`)
	for want, path := range map[string][]string{"last": {"a", "b"}, "é": {"s"}} {
		if got := payload.MemberText(body, path...); got != want {
			t.Errorf("MemberText(%q) = %q, want %q", path, got, want)
		}
	}
	for _, path := range [][]string{{"a"}, {"a", "n"}, {"x"}, {"s", "b"}} {
		if got := payload.MemberText(body, path...); got != "" {
			t.Errorf("MemberText(%q) = %q, want nothing", path, got)
		}
	}
}

func TestOptionalTime(t *testing.T) {
	var c payload.Checks
	if got := c.OptionalTime("at", "2026-11-03T11:20:30.5+01:00"); c.Err() != nil || got.String() != "2026-11-03 10:20:30.5 +0000 UTC" {
		t.Errorf("%v, %v", got, c.Err())
	}
	if got := c.OptionalTime("at", ""); c.Err() != nil || !got.IsZero() {
		t.Errorf("%v, %v", got, c.Err())
	}
	for _, bad := range []string{"yesterday", "1999-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "2026-11-03 10:20:30 +0000 UTC"} {
		var c payload.Checks
		if c.OptionalTime("at", bad); c.Err() == nil {
			t.Errorf("%q passes", bad)
		}
	}
}
