package sandbox

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/egress"
)

// encodings are the forms that a secret may take on its way.
func encodings(t *testing.T, secret string) map[string]string {
	t.Helper()
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	raw := []byte(secret)
	reversed := slices.Clone(raw)
	slices.Reverse(reversed)
	return map[string]string{
		"plain":   secret,
		"cut off": secret[:12],
		// Without what depends on how many bytes stand before and after it.
		"base64":          strings.TrimRight(base64.StdEncoding.EncodeToString(raw), "="),
		"base64 for URLs": strings.TrimRight(base64.URLEncoding.EncodeToString(raw), "="),
		"base32":          strings.TrimRight(base32.StdEncoding.EncodeToString(raw), "="),
		"hex":             hex.EncodeToString(raw),
		"hex in capitals": strings.ToUpper(hex.EncodeToString(raw)),
		"a query":         url.QueryEscape(secret),
		"a path":          url.PathEscape(secret),
		"JSON":            strings.Trim(string(quoted), `"`),
		"reversed":        string(reversed),
	}
}

// everything writes all that a script can read about itself and its surroundings to one file.
const everything = `
{ env; set; cat /proc/*/environ /proc/*/cmdline /etc/passwd /run/sre-agent/start; find / -xdev \( -path /usr -o -path /proc -o -path /src \) -prune -o -type f -size -200k -print 2>/dev/null | xargs cat
find /etc /tmp /run /dev /src -print | xargs ls -la; find /proc -maxdepth 3 -type f ! -name 'kmsg' ! -name 'pagemap' ! -name 'kpage*' 2>/dev/null | head -5000 | xargs -n 50 head -c 20000
for p in /proc/[0-9]*; do ls -l $p/fd $p/cwd $p/exe $p/root; for f in 0 1 2 3 4 5 6 7 8 9; do test -f $p/fd/$f && cat $p/fd/$f; done; done
cat /proc/*/mountinfo; ulimit -a; id; hostname; } >>/src/everything 2>&1 </dev/null
wc -c </src/everything`

// TestACanaryOfTheRunnerIsNowhereInside looks for this program's own environment, and for a credential of its proxy.
func TestACanaryOfTheRunnerIsNowhereInside(t *testing.T) {
	t.Parallel()
	if os.Getenv(canary) != canaryValue {
		t.Fatal("the canary is not in this program's environment")
	}
	const credential = "Bearer canary-of-the-proxy"
	p, err := egress.New(egress.Config{Allow: []string{"example.com"}, Credentials: map[string]egress.Header{"example.com": {Name: "Authorization", Value: credential}}})
	if err != nil {
		t.Fatal(err)
	}
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		s.egress = p
		for name, network := range map[string]bool{"without a network": false, "with a network": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				res := run(t, s, Spec{Dir: dir, Script: everything, Network: network})
				seen, err := os.ReadFile(filepath.Join(dir, "everything"))
				// That it did look: the environment, a process, a mount, a file of /etc.
				for _, want := range []string{"HOME=/tmp/home", "/src", "sandbox:x:", "Max processes"} {
					if !bytes.Contains(seen, []byte(want)) {
						t.Fatalf("%q is missing in %d bytes: %v, %+v", want, len(seen), err, res)
					}
				}
				for _, secret := range []string{canaryValue, credential} {
					for how, form := range encodings(t, secret) {
						if bytes.Contains(seen, []byte(form)) {
							t.Errorf("%.6q... shows up inside as %s", secret, how)
						}
					}
				}
				if bytes.Contains(seen, []byte(canary)) {
					t.Error("the canary's name shows up inside")
				}
			})
		}
	})
}
