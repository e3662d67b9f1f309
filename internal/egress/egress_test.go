package egress

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// serve starts a proxy and returns its address.
func serve(t *testing.T, cfg Config) string {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func client(t *testing.T, proxy string, origin *httptest.Server) *http.Client {
	t.Helper()
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy}), DisableKeepAlives: true}
	if origin != nil && origin.TLS != nil {
		tr.TLSClientConfig = origin.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	}
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func origin(t *testing.T, tls bool) (*httptest.Server, *[]http.Header) {
	t.Helper()
	seen := &[]http.Header{}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*seen = append(*seen, r.Header.Clone())
		fmt.Fprintf(w, "hello from %s", r.URL.Path)
	})
	server := httptest.NewUnstartedServer(h)
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, seen
}

func get(t *testing.T, c *http.Client, url string) (int, string, error) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

func TestATunnelToAListedHostWorks(t *testing.T) {
	t.Parallel()
	server, _ := origin(t, true)
	proxy := serve(t, Config{Private: []string{server.Listener.Addr().String()}})
	code, body, err := get(t, client(t, proxy, server), server.URL+"/x")
	if err != nil || code != 200 || body != "hello from /x" {
		t.Errorf("got %d, %q, %v", code, body, err)
	}
}

func TestWhatIsNotOnTheListIsRefusedByName(t *testing.T) {
	t.Parallel()
	listed, _ := origin(t, true)
	other, seen := origin(t, true)
	plain, seenPlain := origin(t, false)
	var log bytes.Buffer
	proxy := serve(t, Config{Private: []string{listed.Listener.Addr().String()}, Allow: []string{"example.com"}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, address := range []string{
		other.URL, "https://127.0.0.1:22", "https://169.254.169.254", "https://example.com:8443", "https://example.com.evil.test",
		"https://evil.test", "https://notexample.com", "https://sub.example.com", "https://[::1]",
	} {
		_, _, err := get(t, client(t, proxy, listed), address)
		host := strings.TrimPrefix(address, "https://")
		if err == nil || !strings.Contains(err.Error(), "not on the list") || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{plain.URL, "http://169.254.169.254/latest/meta-data/", "http://example.com:8080/", "http://evil.test/"} {
		code, body, err := get(t, client(t, proxy, nil), address)
		if err != nil || code != 403 || !strings.Contains(body, "not on the list") {
			t.Errorf("%s: %d, %q, %v", address, code, body, err)
		}
	}
	if len(*seen)+len(*seenPlain) > 0 {
		t.Errorf("a host that is not listed was asked: %v %v", *seen, *seenPlain)
	}
	if !strings.Contains(log.String(), "evil.test") {
		t.Errorf("the log does not say what was refused: %s", log.String())
	}
}

func TestAListedNameThatLeadsToAPrivateAddressLeadsNowhere(t *testing.T) {
	t.Parallel()
	server, seen := origin(t, true)
	plain, seenPlain := origin(t, false)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	_, plainPort, _ := net.SplitHostPort(plain.Listener.Addr().String())
	// localhost is a name that every machine looks up as a loopback address.
	proxy := serve(t, Config{Allow: []string{"localhost:" + port, "http://localhost:" + plainPort, "127.0.0.1:" + port, "169.254.169.254:80"}, Private: []string{"169.254.169.254"}})
	for _, address := range []string{"https://localhost:" + port, "https://127.0.0.1:" + port, "https://169.254.169.254", "https://169.254.169.254:80"} {
		if _, _, err := get(t, client(t, proxy, server), address); err == nil || !strings.Contains(err.Error(), "not a public one") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if code, body, err := get(t, client(t, proxy, nil), "http://localhost:"+plainPort); err != nil || code != 403 || !strings.Contains(body, "not a public one") {
		t.Errorf("plain: %d, %q, %v", code, body, err)
	}
	if len(*seen)+len(*seenPlain) > 0 {
		t.Error("it was asked all the same")
	}
}

func TestACredentialIsAddedForItsHostAlone(t *testing.T) {
	t.Parallel()
	with, seenWith := origin(t, false)
	without, seenWithout := origin(t, false)
	hosts := []string{"http://" + with.Listener.Addr().String(), "http://" + without.Listener.Addr().String()}
	proxy := serve(t, Config{Private: hosts, Credentials: map[string]Header{hosts[0]: {"Authorization", "Bearer s3cret"}}})
	c := client(t, proxy, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, with.URL+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer placeholder")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if _, _, err := get(t, c, without.URL); err != nil {
		t.Fatal(err)
	}
	if len(*seenWith) != 1 || (*seenWith)[0].Get("Authorization") != "Bearer s3cret" || (*seenWith)[0].Get("X-Forwarded-For") != "" {
		t.Errorf("with a credential: %v", *seenWith)
	}
	if len(*seenWithout) != 1 || (*seenWithout)[0].Get("Authorization") != "" {
		t.Errorf("without one: %v", *seenWithout)
	}
	if _, err := New(Config{Credentials: map[string]Header{"example.com": {}}}); err == nil {
		t.Error("a credential for a host that is not listed was taken")
	}
	if h := (Header{"Authorization", "Bearer s3cret"}); strings.Contains(fmt.Sprintf("%v %s", h, h), "s3cret") {
		t.Error("a header shows its value")
	}
}

func TestTheRequestLineCanNotSmuggleAnotherHost(t *testing.T) {
	t.Parallel()
	server, _ := origin(t, false)
	proxy := serve(t, Config{Private: []string{"http://" + server.Listener.Addr().String()}})
	for name, request := range map[string]string{
		"a request for the proxy itself":        "GET / HTTP/1.1\r\nHost: " + server.Listener.Addr().String() + "\r\n\r\n",
		"another scheme":                        "GET ftp://" + server.Listener.Addr().String() + "/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"a tunnel to a host for plain HTTP":     "CONNECT " + server.Listener.Addr().String() + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"a tunnel whose header names a host":    "CONNECT evil.test:443 HTTP/1.1\r\nHost: " + server.Listener.Addr().String() + "\r\n\r\n",
		"a tunnel without a port":               "CONNECT evil.test HTTP/1.1\r\nHost: evil.test\r\n\r\n",
		"a user name that looks like the host":  "GET http://" + server.Listener.Addr().String() + "@evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"a name with a line end that is quoted": "CONNECT evil%0d%0aX.test:443 HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", proxy)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, request)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode < 400 {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
		if err == nil {
			_ = res.Body.Close()
		}
		_ = conn.Close()
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct{ public, private bool }{
		"93.184.215.14": {true, true}, "2606:4700::6810:84e5": {true, true},
		"127.0.0.1": {false, true}, "127.9.9.9": {false, true}, "::1": {false, true}, "::ffff:127.0.0.1": {false, true},
		"10.0.0.1": {false, true}, "172.16.0.1": {false, true}, "192.168.1.1": {false, true}, "fd00::1": {false, true}, "100.64.0.1": {false, true},
		"169.254.169.254": {false, false}, "::ffff:169.254.169.254": {false, false}, "fe80::1": {false, false}, "fd00:ec2::254": {false, false},
		"100.100.100.200": {false, false}, "0.0.0.0": {false, false}, "::": {false, false}, "224.0.0.1": {false, false}, "255.255.255.255": {false, false}, "ff02::1": {false, false},
		"64:ff9b::7f00:1": {false, true}, "64:ff9b::a9fe:a9fe": {false, true}, "2002:7f00:1::": {false, true}, "::7f00:1": {false, true}, "240.0.0.1": {false, true}, "198.18.0.1": {false, true}, "0.1.2.3": {false, true},
	} {
		addr := netip.MustParseAddr(address)
		if got := reachable(addr, false); got != want.public {
			t.Errorf("%s as a public address: %v", address, got)
		}
		if got := reachable(addr, true); got != want.private {
			t.Errorf("%s as a private address: %v", address, got)
		}
	}
}

func TestHostsOfAList(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"proxy.golang.org": true, "Proxy.Golang.Org.": true, "host:8443": true, "http://host:8080": true, "127.0.0.1:1": true, "[::1]:443": true,
		"": false, "*": false, "*.example.com": false, "https://host": false, "host/path": false, "host:0": false, "host:99999": false, "a b": false, "http://user@host": false, "-x": false, "ho\nst": false,
	} {
		if _, err := New(Config{Allow: []string{text}}); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
