package httpapi_test

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func guarded(base string, allowed []netip.Prefix) *httpapi.Client {
	return httpapi.New(httpapi.Options{BaseURL: base, Token: token, HTTP: httpapi.Guarded(allowed)})
}

func assertForbidden(t *testing.T, what string, err error) {
	t.Helper()
	if reason, _ := fault.Reason(err); reason != "forbidden_address" {
		t.Errorf("%s: %v, want forbidden_address", what, err)
	}
}

func TestAnAddressInsideOfSomebodysNetworkIsNotConnectedTo(t *testing.T) {
	for _, host := range []string{
		"127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.100.100.200",
		"169.254.169.254", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[fd00:ec2::254]",
		"[fe80::1]", "[fe80::1%25lo]", "[fec0::1]", "[ff02::1]", "localhost",
	} {
		_, err := guarded("http://"+host+":1", nil).Get(t.Context(), "/x", nil, nil)
		assertForbidden(t, host, err)
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the token is in the error", host)
		}
	}
}

func TestANameThatResolvesToAPrivateAddressIsRefusedWhenItIsConnectedTo(t *testing.T) {
	reached := false
	srv := server(t, func(http.ResponseWriter, *http.Request) { reached = true })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = guarded("http://localhost:"+port, nil).Get(t.Context(), "/x", nil, nil)
	if assertForbidden(t, "a name", err); reached {
		t.Error("it was connected to")
	}
}

func TestARedirectIsCheckedAsWell(t *testing.T) {
	reached := false
	inside := server(t, func(http.ResponseWriter, *http.Request) { reached = true })
	var to string
	srv := server(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	// The API's own address alone is allowed, as a knob would: its neighbour is not.
	u, err := url.Parse(inside.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, to = range []string{"http://127.0.0.2:" + u.Port(), "http://169.254.169.254/latest/meta-data/", "http://[::1]:" + u.Port()} {
		_, err := guarded(srv.URL, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}).GetStream(t.Context(), "/log", nil, "text/plain")
		if assertForbidden(t, to, err); reached {
			t.Errorf("%s was connected to", to)
		}
	}
	_, err = guarded(srv.URL, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}).GetForeign(t.Context(), "http://127.0.0.2:"+u.Port())
	assertForbidden(t, "an address that the API named", err)
}

func TestAllowedNetworksAreConnectedTo(t *testing.T) {
	srv := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) })
	var out struct{}
	if _, err := guarded(srv.URL, loopback).Get(t.Context(), "/x", nil, &out); err != nil {
		t.Error(err)
	}
	name := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	if _, err := guarded(name, loopback).Get(t.Context(), "/x", nil, &out); err != nil {
		t.Error(err)
	}
}

func TestATokenIsSentAsItsKindWantsAndStaysOutOfErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		auth   httpapi.Auth
		token  string
		header string
		hidden []string
	}{
		{"bearer", httpapi.Bearer, "the-secret-token", "Bearer the-secret-token", []string{"the-secret-token"}},
		{"token", httpapi.Token, "the-secret-token", "token the-secret-token", []string{"the-secret-token"}},
		{"basic", httpapi.Basic, "user:the-secret-token", "Basic dXNlcjp0aGUtc2VjcmV0LXRva2Vu", []string{"the-secret-token", "dXNlcjp0aGUtc2VjcmV0LXRva2Vu"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := ""
			srv := server(t, func(w http.ResponseWriter, r *http.Request) {
				sent = r.Header.Get("Authorization")
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, `{"message": "not for `+strings.Join(tt.hidden, " or ")+`"}`)
			})
			_, err := httpapi.New(httpapi.Options{BaseURL: srv.URL, Token: tt.token, Auth: tt.auth}).Get(t.Context(), "/x", nil, nil)
			if sent != tt.header {
				t.Errorf("sent %q, want %q", sent, tt.header)
			}
			for _, secret := range tt.hidden {
				if err == nil || strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows %s: %v", secret, err)
				}
			}
		})
	}
}

func TestAnAddressThatTheAPINamedIsAskedWithoutTheToken(t *testing.T) {
	var header http.Header
	srv := server(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		_, _ = io.WriteString(w, "text")
	})
	body, err := client(srv.URL).GetForeign(t.Context(), srv.URL+"/output?sig=x")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	if header.Get("Authorization") != "" {
		t.Errorf("headers = %v", header)
	}
	for _, bad := range []string{"", "file:///etc/passwd", "ftp://x/y", "//host/x", "http://user:pw@127.0.0.1:1/x", "http://[::1", "gopher://x", "\x00"} {
		_, err := client(srv.URL).GetForeign(t.Context(), bad)
		if reason, _ := fault.Reason(err); reason != "invalid_address" {
			t.Errorf("%q: %v, want invalid_address", bad, err)
		}
	}
	_, err = client("https://api.example.com").GetForeign(t.Context(), "http://127.0.0.1:1/x")
	if reason, _ := fault.Reason(err); reason != "invalid_address" {
		t.Errorf("http from https: %v, want invalid_address", err)
	}
}
