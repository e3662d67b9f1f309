package scan_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/zricethezav/gitleaks/v8/logging"

	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/scan"
)

// The secrets are made here, so that no scanner of this repository takes them for true ones.
var (
	github = "ghp_" + strings.Repeat("aB3dE6fG9", 4)
	aws    = "AKIA" + "QYLPMN5HHH" + "FPABCD"
	key    = "-----BEGIN RSA " + "PRIVATE KEY-----"
)

const known = "correct-horse-battery"

func added(file string, lines ...string) []patch.Line {
	var out []patch.Line
	for i, l := range lines {
		out = append(out, patch.Line{File: file, Number: 10 + 2*i, Text: l})
	}
	return out
}

func keyLines() []string {
	lines := []string{"x", key}
	for i := range 4 {
		lines = append(lines, strings.Repeat(fmt.Sprintf("MIIEpAIBAAKCAQEA%dx9Qz", i), 3))
	}
	return append(lines, strings.Replace(key, "BEGIN", "END", 1))
}

func newScanner(t testing.TB) *scan.Scanner {
	t.Helper()
	s, err := scan.New(known, "tiny", "line one\nline two")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAddedSecretsAreFound(t *testing.T) {
	s := newScanner(t)
	tests := map[string]struct {
		added []patch.Line
		want  []scan.Finding
	}{
		"a token, with its line number":        {added("a.go", "package a", "", `const t = "`+github+`"`), []scan.Finding{{"github-pat", "a.go", 14}}},
		"a token marked as allowed":            {added("a.go", `t := "`+github+`" // gitleaks:allow`), []scan.Finding{{"github-pat", "a.go", 10}}},
		"a token in a lock file":               {added("package-lock.json", `"x": "`+github+`"`), []scan.Finding{{"github-pat", "package-lock.json", 10}}},
		"a token in gitleaks's own settings":   {added(".gitleaks.toml", `"x": "`+github+`"`), []scan.Finding{{"github-pat", ".gitleaks.toml", 10}}},
		"a token in a picture":                 {added("logo.svg", `<a x="`+github+`"/>`), []scan.Finding{{"github-pat", "logo.svg", 10}}},
		"a token under a rule's allowed name":  {added("@octokit/auth-token/README.md", `"x": "`+github+`"`), []scan.Finding{{"github-pat", "@octokit/auth-token/README.md", 10}}},
		"a token in base64":                    {added("a.txt", "x: "+base64.StdEncoding.EncodeToString([]byte("token="+github))), []scan.Finding{{"github-pat", "a.txt", 10}}},
		"a cloud key":                          {added("a.py", "", "key = '"+aws+"'"), []scan.Finding{{"aws-access-token", "a.py", 12}}},
		"a private key":                        {added("a.txt", keyLines()...), []scan.Finding{{"private-key", "a.txt", 12}}},
		"a URL with a password":                {added("a.md", "see postgres://bob:hunter22@db/x"), []scan.Finding{{scan.RuleURLCredential, "a.md", 10}}},
		"a known value":                        {added("a.md", "x"+known+"y"), []scan.Finding{{scan.RuleKnown, "a.md", 10}}},
		"a known value of two lines":           {added("a.md", "z", "line one", "line two"), []scan.Finding{{scan.RuleKnown, "a.md", 12}}},
		"a URL with a placeholder is no find":  {added("a.md", "postgres://user:password@db https://x:$TOKEN@h https://u:${P}@h"), []scan.Finding{}},
		"a sum file's hashes are no find":      {added("go.sum", "github.com/x/keyring v1.2.0 h1:NIvaJDMOsjHA8n1jAhLSgzrAzy1Hgr+hNrb57e+94F0="), []scan.Finding{}},
		"ordinary code is no find":             {added("a.go", "func main() {", "\tfmt.Println(\"token\")", "}"), []scan.Finding{}},
		"a known value too short to look for ": {added("a.go", "tiny"), []scan.Finding{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := s.Scan(context.Background(), &patch.Patch{Added: tt.added})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if text := fmt.Sprintf("%+v", got); strings.Contains(text, github) || strings.Contains(text, aws) || strings.Contains(text, known) {
				t.Error("the finding holds the secret")
			}
		})
	}
}

func TestAKnownValueIsFoundInEveryEncoding(t *testing.T) {
	const secret = "p\"ss/wörd<&'7+q=Xy"
	s, err := scan.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, _ := json.Marshal(secret)
	encodings := map[string]string{
		"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "hex in capitals": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"URL": url.QueryEscape(secret), "path": url.PathEscape(secret), "JSON": string(asJSON), "Go": strconv.QuoteToASCII(secret),
		"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64 for URLs": base64.URLEncoding.EncodeToString([]byte("x" + secret)),
		"base64 one byte in": base64.StdEncoding.EncodeToString([]byte("u" + secret)), "base64 two bytes in": base64.StdEncoding.EncodeToString([]byte("u:" + secret + "@")),
		"XML": "p&quot;ss/wörd&lt;&amp;&#39;7+q=Xy", "shell": `p"ss/wörd<&'\''7+q=Xy`, "SQL": `p"ss/wörd<&''7+q=Xy`,
		"every byte escaped": "\\x" + strings.Join(pairs(hex.EncodeToString([]byte(secret))), "\\x"), "every byte for URLs": "%" + strings.Join(pairs(strings.ToUpper(hex.EncodeToString([]byte(secret)))), "%"),
	}
	for name, text := range encodings {
		half := len(text) / 2
		for how, lines := range map[string][]string{
			"on one line":  {"x", "key: " + text + ";"},
			"on two lines": {"x", "  \"" + text[:half] + "\" +", "  \"" + text[half:] + "\""},
		} {
			got, err := s.Scan(t.Context(), &patch.Patch{Added: added("a.txt", lines...)})
			if err != nil || !slices.Contains(got, scan.Finding{Rule: scan.RuleKnown, File: "a.txt", Line: 12}) {
				t.Errorf("%s %s: %v, %v", name, how, got, err)
			}
		}
	}
	if got, err := s.Scan(t.Context(), &patch.Patch{Added: added("a.txt", "p ss word", "70 73 73")}); err != nil || len(got) != 0 {
		t.Errorf("pieces alone: %v, %v", got, err)
	}
}

func pairs(s string) []string {
	var out []string
	for i := 0; i < len(s); i += 2 {
		out = append(out, s[i:i+2])
	}
	return out
}

func TestASecretThatOnlyMovesIsNotAdded(t *testing.T) {
	s := newScanner(t)
	old := added("a.go", `var t="`+github+`"`)
	p := &patch.Patch{Removed: old, Added: added("a.go", `var t = "`+github+`"`)}
	if got, err := s.Scan(context.Background(), p); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	p = &patch.Patch{Removed: old, Added: added("a.go", `var t = "`+github[:20]+strings.Repeat("zY8", 7)[:20]+`"`)}
	if got, err := s.Scan(context.Background(), p); err != nil || len(got) != 1 {
		t.Errorf("another secret in its place: %v, %v", got, err)
	}
	p = &patch.Patch{Removed: added("a", known), Added: added("b", known)}
	if got, err := s.Scan(context.Background(), p); err != nil || len(got) != 1 {
		t.Errorf("a known secret is never published, wherever it was: %v, %v", got, err)
	}
}

func TestACancelledScanIsNoCleanResult(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := newScanner(t).Scan(ctx, &patch.Patch{Added: added("a", github)}); err == nil {
		t.Errorf("got %v and no error", got)
	}
}

// It swaps gitleaks's global logger, so it may not run in parallel with the others; none here is parallel.
func TestManyScansAtOnceFindAndPrintNothing(t *testing.T) {
	var buf bytes.Buffer
	before := logging.Logger
	logging.Logger = zerolog.New(zerolog.SyncWriter(&buf)).Level(zerolog.InfoLevel)
	t.Cleanup(func() { logging.Logger = before })

	s := newScanner(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := scan.New(); err != nil {
				t.Error(err)
			}
			got, err := s.Scan(context.Background(), &patch.Patch{Added: added("a.go", `x = "`+github+`"`)})
			if err != nil || len(got) != 1 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if buf.Len() > 0 {
		t.Error(buf.String())
	}
}

func BenchmarkScanOfThePolicysLargestPatch(b *testing.B) {
	s := newScanner(b)
	p := &patch.Patch{}
	for i := range 200 {
		p.Added = append(p.Added, patch.Line{File: "a.go", Number: i, Text: strings.Repeat("the api key token = value; ", 36)})
	}
	for b.Loop() {
		if _, err := s.Scan(context.Background(), p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanOfASmallPatch(b *testing.B) {
	s := newScanner(b)
	p := &patch.Patch{Added: added("a.go", "func main() {", "\tfmt.Println(1)", "}")}
	for b.Loop() {
		if _, err := s.Scan(context.Background(), p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := scan.New(); err != nil {
			b.Fatal(err)
		}
	}
}
