package payload_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

type check = func(c *payload.Checks, s string) string

func checks() map[string]check {
	return map[string]check{
		"Part":           func(c *payload.Checks, s string) string { return c.Part("f", s) },
		"Owner":          func(c *payload.Checks, s string) string { return c.Owner("f", s) },
		"Identity":       func(c *payload.Checks, s string) string { return c.Identity("f", s) },
		"FullName":       func(c *payload.Checks, s string) string { return c.FullName("f", s) },
		"Commit":         func(c *payload.Checks, s string) string { return c.Commit("f", s) },
		"Text":           func(c *payload.Checks, s string) string { return c.Text("f", s, 10) },
		"OptionalText":   func(c *payload.Checks, s string) string { return c.OptionalText("f", s, 10) },
		"Branch":         func(c *payload.Checks, s string) string { return c.Branch("f", s) },
		"OptionalBranch": func(c *payload.Checks, s string) string { return c.OptionalBranch("f", s) },
		"URL":            func(c *payload.Checks, s string) string { return c.URL("f", s) },
		"OptionalURL":    func(c *payload.Checks, s string) string { return c.OptionalURL("f", s) },
		"OptionalTime":   func(c *payload.Checks, s string) string { return c.OptionalTime("f", s).Format(time.RFC3339) },
	}
}

func TestChecksTakeWhatIsGood(t *testing.T) {
	hash := strings.Repeat("0aF", 13) + "1"
	for name, values := range map[string][]string{
		"Part":           {"a", "A-b_c.d", ".github", strings.Repeat("a", 100)},
		"Owner":          {"a", "group/sub.group/team"},
		"Identity":       {"7", "8d1e6b6c-0f5a-4f0e-9a51-3d1c6f1b2a77", "gh/acme/shop", "a_b:c.d"},
		"FullName":       {"a/b", "group/sub/name"},
		"Text":           {"ten bytes!", "Übung"},
		"OptionalText":   {"", "ok"},
		"Branch":         {"main", "feature/a-b_c.d", "@", "ü", strings.Repeat("b", 255)},
		"OptionalBranch": {"", "main"},
		"URL":            {"https://ci.example.com:8443/a/b", "http://127.0.0.1"},
		"OptionalURL":    {"", "https://ci.example.com"},
	} {
		for _, s := range values {
			var c payload.Checks
			if got := checks()[name](&c, s); got != s || c.Err() != nil {
				t.Errorf("%s(%q) = %q, %v", name, s, got, c.Err())
			}
		}
	}
	var c payload.Checks
	if got := c.Commit("f", hash); got != strings.ToLower(hash) || c.Err() != nil {
		t.Errorf("Commit(%q) = %q, %v; want it in lower case", hash, got, c.Err())
	}
	if got := c.OptionalTime("f", "2026-11-03T11:20:30.5+01:00"); !got.Equal(time.Date(2026, 11, 3, 10, 20, 30, 5e8, time.UTC)) || got.Location() != time.UTC {
		t.Errorf("OptionalTime = %v", got)
	}
	if got := c.OptionalTime("f", ""); !got.IsZero() || c.Err() != nil {
		t.Errorf("OptionalTime of nothing = %v, %v", got, c.Err())
	}
}

func TestChecksRefuseByNameAndNeverQuoteTheValue(t *testing.T) {
	for name, values := range map[string][]string{
		"Part":           {"", ".", "..", "a/b", "a b", "a\nb", "-\x00", "*.>", strings.Repeat("a", 101)},
		"Owner":          {"", "/", "a/", "/a", "a//b", "a/../b", strings.Repeat("a/", 20) + "a"},
		"Identity":       {"", "a b", "a\n", "ü", strings.Repeat("7", 101)},
		"FullName":       {"", "name", "/name", "owner/", "owner/..", "../name", "a b/c"},
		"Commit":         {"", "HEAD", "--help", strings.Repeat("a", 39), strings.Repeat("a", 41), strings.Repeat("g", 40), strings.Repeat("a", 40) + "\n"},
		"Text":           {"", "eleven byte", "a\x1b[2J", "a\x00", "\xff", "a\u0085"},
		"OptionalText":   {"eleven byte", "a\nb"},
		"Branch":         {"", "-x", "--upload-pack=x", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "@{-1}", "/a", "a/", "a//b", "a/.b", ".a", "a.", "a.lock", "a\nb", "\xff", strings.Repeat("b", 256)},
		"OptionalBranch": {"-x"},
		"URL":            {"", "ftp://h/x", "file:///etc/passwd", "ext::sh -c id", "javascript:alert(1)", "https://u:p@h/x", "https://u@h/x", "https://h/?q", "https://h/#f", "https://", "//h/x", "https://h/\n", "https://h/" + strings.Repeat("x", 2048)},
		"OptionalURL":    {"ssh://h/x"},
		"OptionalTime":   {"yesterday", "2026-11-03", "1999-01-01T00:00:00Z", "2201-01-01T00:00:00Z", "2026-11-03T10:20:30"},
	} {
		for _, s := range values {
			var c payload.Checks
			checks()[name](&c, s)
			err := c.Err()
			if reason, permanent := fault.Reason(err); !permanent || reason != payload.ReasonInvalid || !strings.Contains(err.Error(), "field f") {
				t.Errorf("%s(%.40q): error %v, want a permanent one that names the field", name, s, err)
				continue
			}
			if len(s) > 6 && strings.Contains(err.Error(), s) {
				t.Errorf("%s: the error quotes the value: %v", name, err)
			}
		}
	}
}

func TestNumbersAreBounded(t *testing.T) {
	var good payload.Checks
	if got := good.ID("f", 9007199254740993); got != "9007199254740993" || good.Err() != nil {
		t.Errorf("ID = %q, %v", got, good.Err())
	}
	if got := good.Attempt("f", 0); got != 1 || good.Err() != nil {
		t.Errorf("Attempt(0) = %d, %v; want 1, as for a server that does not say", got, good.Err())
	}
	for _, bad := range []func(c *payload.Checks){
		func(c *payload.Checks) { c.ID("f", 0) }, func(c *payload.Checks) { c.ID("f", -1) },
		func(c *payload.Checks) { c.Attempt("f", -1) }, func(c *payload.Checks) { c.Attempt("f", 1_000_001) },
	} {
		var c payload.Checks
		if bad(&c); c.Err() == nil {
			t.Error("a number out of bounds passes")
		}
	}
}

func TestTheFirstTroubleIsKept(t *testing.T) {
	var c payload.Checks
	c.Part("first", "..")
	c.Part("second", "")
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "field first") {
		t.Errorf("Err = %v, want the first field's", err)
	}
}

func TestFirstOf(t *testing.T) {
	if got := payload.FirstOf("", "b", "c"); got != "b" {
		t.Errorf("FirstOf = %q", got)
	}
	if got := payload.FirstOf("", ""); got != "" {
		t.Errorf("FirstOf = %q", got)
	}
}
