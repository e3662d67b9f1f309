package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/redact"
)

// canary holds characters that every encoding has to escape.
const canary = `s3cr&t/+"<canary>\é value?`

func encodings(t *testing.T) map[string]string {
	t.Helper()
	quoted, err := json.Marshal(canary)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{
		"plain":                canary,
		"query escape":         url.QueryEscape(canary),
		"path escape":          url.PathEscape(canary),
		"lower case escapes":   strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(canary), "%2F", "%2f"), "%3C", "%3c"),
		"hexadecimal":          hex.EncodeToString([]byte(canary)),
		"upper hexadecimal":    strings.ToUpper(hex.EncodeToString([]byte(canary))),
		"JSON":                 string(quoted[1 : len(quoted)-1]),
		"JSON without HTML":    `s3cr&t/+\"<canary>\\é value?`,
		"in a URL's user part": "https://x:" + url.QueryEscape(canary) + "@host/",
	}
	delete(out, "lower case escapes") // mixed case is no program's output; see the next line
	out["lower case escapes"] = strings.NewReplacer("%26", "%26", "%2F", "%2f", "%2B", "%2b", "%22", "%22", "%3C", "%3c", "%3E", "%3e", "%5C", "%5c", "%C3", "%c3", "%A9", "%a9", "%3F", "%3f").Replace(url.QueryEscape(canary))
	for shift := range 3 {
		around := strings.Repeat("p", shift) + canary + "tail"
		out[fmt.Sprintf("standard base64, shifted by %d", shift)] = base64.StdEncoding.EncodeToString([]byte(around))
		out[fmt.Sprintf("URL base64, shifted by %d", shift)] = base64.URLEncoding.EncodeToString([]byte(around))
	}
	return out
}

func TestAKnownSecretGoesInEveryEncoding(t *testing.T) {
	r := redact.New([]string{canary, "short", ""})
	for name, encoded := range encodings(t) {
		t.Run(name, func(t *testing.T) {
			got := r.String("before " + encoded + " after")
			if !strings.Contains(got, redact.Mark) || strings.Contains(got, encoded) || len(got) > len("before  after")+len(redact.Mark)+24 {
				t.Errorf("%q became %q", encoded, got)
			}
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("the text around was lost: %q", got)
			}
		})
	}
	if got := r.String("a short word"); got != "a short word" {
		t.Errorf("a value of five characters was replaced: %q", got)
	}
}

func TestALineOfALongSecretGoesToo(t *testing.T) {
	r := redact.New([]string{"-----BEGIN X-----\nabcdefghijklmnop\nqrstuvwxyz012345\n-----END X-----\n"})
	if got := r.String("12:00 abcdefghijklmnop\n12:01 qrstuvwxyz012345"); strings.Contains(got, "abcd") || strings.Contains(got, "qrst") {
		t.Error(got)
	}
}

func TestCommonTokensGoUnnamed(t *testing.T) {
	const x = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1bCd4fGh7j"
	for _, secret := range []string{
		"ghp_" + x, "gho_" + x, "ghs_" + x, "github_pat_" + x, "glpat-" + x[:20], "AKIA" + "IOSFODNN7EXAMPLE", "xoxb-123456789012-" + x,
		"-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\ncut off",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "npm_" + x,
	} {
		got := redact.New(nil).String("x " + secret)
		if got != "x "+redact.Mark {
			t.Errorf("%q became %q", secret, got)
		}
	}
	for in, want := range map[string]string{
		"Authorization: Bearer abc.def-ghi":    "Authorization: Bearer [redacted]",
		"authorization: Basic dXNlcjpwYXNz":    "authorization: Basic [redacted]",
		"curl -H 'bearer abcdefgh1'":           "curl -H 'bearer [redacted]'",
		"postgres://u:p@ss@h/db":               "postgres://[redacted]@h/db",
		"postgres://user:hunter22@h/db":        "postgres://[redacted]@h/db",
		"https://x-access-token:abc@github/x":  "https://[redacted]@github/x",
		"https://0123456789abcdef0123@host/x":  "https://[redacted]@host/x",
		"git clone ssh://git@github.com/a/b":   "git clone ssh://git@github.com/a/b",
		"see https://example.com/a:b@c":        "see https://example.com/a:b@c",
		"main.go:3:5: undefined: token in key": "main.go:3:5: undefined: token in key",
	} {
		if got := redact.New(nil).String(in); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
}

func TestTimeIsBounded(t *testing.T) {
	r := redact.New([]string{canary, strings.Repeat("a", 4000)})
	hostile := strings.Repeat("a", 1<<20) + strings.Repeat("-----BEGIN PRIVATE KEY-----", 1000) + strings.Repeat("http://a:", 100_000)
	start := time.Now()
	r.String(hostile)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("2 MB took %v", took)
	}
}

type stringer struct{ s string }

func (s stringer) String() string { return s.s }

type valuer struct{ s string }

func (v valuer) LogValue() slog.Value { return slog.GroupValue(slog.String("inner", v.s)) }

type broken struct{ p *string }

func (b *broken) Error() string { return *b.p }

func TestNothingLoggedHoldsTheSecret(t *testing.T) {
	const secret = "correct-horse-battery"
	var buf bytes.Buffer
	log := slog.New(redact.New([]string{secret}).Handler(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.With("with", secret).WithGroup("g").Error("message "+secret,
		"string", secret,
		"error", fmt.Errorf("wrapped: %w", errors.New(secret)),
		"stringer", stringer{secret},
		"valuer", valuer{secret},
		"bytes", []byte(secret),
		"slice", []string{secret},
		"map", map[string]any{"deep": []any{secret}},
		"struct", struct{ Field *stringer }{&stringer{secret}},
		"raw", json.RawMessage(`"`+secret+`"`),
		slog.Group("group", "a", secret, slog.Group("b", "c", secret)),
		secret, 1,
		"number", 42, "nil", nil, "broken", (*broken)(nil),
	)
	out := buf.String()
	if strings.Contains(out, "horse") {
		t.Error(out)
	}
	for _, want := range []string{`"number":42`, `"nil":null`, "PANIC", `"with":"[redacted]"`, `"msg":"message [redacted]"`, `"c":"[redacted]"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not in %s", want, out)
		}
	}
}
