package github

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// checks holds fields to their bounds and keeps the first trouble. It never quotes a value: that may be hostile.
type checks struct{ err error }

func missing(field string) error {
	return fault.Permf(ReasonInvalid, "field %s is missing", field)
}

func (c *checks) fail(field, want string) {
	if c.err == nil {
		c.err = fault.Permf(ReasonInvalid, "field %s: want %s", field, want)
	}
}

func (c *checks) present(field string, ok bool) bool {
	if !ok && c.err == nil {
		c.err = missing(field)
	}
	return ok
}

func (c *checks) id(field string, id int64) string {
	if c.present(field, id != 0) && id < 0 {
		c.fail(field, "a positive number")
	}
	return decimal(id)
}

// attempt is 1 where the provider does not say, as older servers do not.
func (c *checks) attempt(field string, n int) int {
	if n < 0 || n > 1_000_000 {
		c.fail(field, "a number from 1 to 1000000")
	}
	return max(n, 1)
}

func (c *checks) part(field, s string) string {
	if c.present(field, s != "") && !isRepositoryPart(s) {
		c.fail(field, "1 to 100 letters, digits, dots, dashes and underscores")
	}
	return s
}

func (c *checks) fullName(field, s string) string {
	owner, name, ok := strings.Cut(s, "/")
	if c.present(field, s != "") && (!ok || !isRepositoryPart(owner) || !isRepositoryPart(name)) {
		c.fail(field, "owner/name")
	}
	return s
}

var commitID = regexp.MustCompile(`^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$`)

func (c *checks) commit(field, s string) string {
	if c.present(field, s != "") && !commitID.MatchString(s) {
		c.fail(field, "40 or 64 hexadecimal digits")
	}
	return strings.ToLower(s)
}

func (c *checks) text(field, s string, limit int) string {
	if c.present(field, s != "") {
		c.optionalText(field, s, limit)
	}
	return s
}

func (c *checks) optionalText(field, s string, limit int) string {
	switch {
	case len(s) > limit:
		c.fail(field, "at most "+decimal(int64(limit))+" bytes")
	case strings.ContainsFunc(s, unicode.IsControl), strings.ContainsRune(s, utf8.RuneError):
		c.fail(field, "text without control characters")
	}
	return s
}

// branch refuses what git refuses in a branch name (git-check-ref-format) and what a program could take for an option.
func (c *checks) branch(field, s string) string {
	c.text(field, s, 255)
	for _, bad := range []string{"..", "@{", "//", "/."} {
		if strings.Contains(s, bad) {
			c.fail(field, "a branch name")
		}
	}
	if strings.ContainsAny(s, " ~^:?*[\\") || strings.HasPrefix(s, "-") || strings.HasPrefix(s, "/") ||
		strings.HasPrefix(s, ".") || strings.HasSuffix(s, "/") || strings.HasSuffix(s, ".") || strings.HasSuffix(s, ".lock") {
		c.fail(field, "a branch name")
	}
	return s
}

func (c *checks) url(field, s string) string {
	if c.present(field, s != "") {
		c.optionalURL(field, s)
	}
	return s
}

// optionalURL wants plain http or https: no other scheme, no credentials, no query. Whether a token may be sent
// there is decided where the token is.
func (c *checks) optionalURL(field, s string) string {
	if s == "" {
		return s
	}
	c.optionalText(field, s, 2048)
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		c.fail(field, "an http or https URL without credentials or query")
	}
	return s
}
