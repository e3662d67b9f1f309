package payload

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// Checks holds fields to their bounds and keeps the first trouble. It never quotes a value: that may be hostile.
type Checks struct{ err error }

// Missing is the permanent error for a field that has to be there.
func Missing(field string) error {
	return fault.Permf(ReasonInvalid, "field %s is missing", field)
}

// Fail notes that a field is not what it should be.
func (c *Checks) Fail(field, want string) {
	if c.err == nil {
		c.err = fault.Permf(ReasonInvalid, "field %s: want %s", field, want)
	}
}

// Present notes that a field is missing, unless ok; it returns ok.
func (c *Checks) Present(field string, ok bool) bool {
	if !ok && c.err == nil {
		c.err = Missing(field)
	}
	return ok
}

// ID wants a positive number.
func (c *Checks) ID(field string, id int64) string {
	if c.Present(field, id != 0) && id < 0 {
		c.Fail(field, "a positive number")
	}
	return Decimal(id)
}

// Attempt is 1 where the provider does not say, as older servers do not.
func (c *Checks) Attempt(field string, n int) int {
	if n < 0 || n > 1_000_000 {
		c.Fail(field, "a number from 1 to 1000000")
	}
	return max(n, 1)
}

// Part wants the name of an owner or a repository.
func (c *Checks) Part(field, s string) string {
	if c.Present(field, s != "") && !IsRepositoryPart(s) {
		c.Fail(field, "1 to 100 letters, digits, dots, dashes and underscores")
	}
	return s
}

// Owner wants the path of whoever owns a repository: a name, or names of groups in groups, separated by slashes.
func (c *Checks) Owner(field, s string) string {
	if c.Present(field, s != "") && !isOwner(s) {
		c.Fail(field, "names of letters, digits, dots, dashes and underscores, separated by slashes")
	}
	return s
}

func isOwner(s string) bool {
	parts := strings.Split(s, "/")
	return len(s) <= 255 && len(parts) <= 20 && !slices.ContainsFunc(parts, func(p string) bool { return !IsRepositoryPart(p) })
}

// Identity wants an id of at most 100 printable ASCII characters without blanks, as UUIDs and numbers are.
func (c *Checks) Identity(field, s string) string {
	if c.Present(field, s != "") && !identity.MatchString(s) {
		c.Fail(field, "1 to 100 letters, digits and - _ . : /")
	}
	return s
}

var identity = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,100}$`)

// FullName wants "owner/name".
func (c *Checks) FullName(field, s string) string {
	cut := strings.LastIndexByte(s, '/')
	if c.Present(field, s != "") && (cut < 0 || !isOwner(s[:cut]) || !IsRepositoryPart(s[cut+1:])) {
		c.Fail(field, "owner/name")
	}
	return s
}

var commitID = regexp.MustCompile(`^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$`)

// Commit wants a commit id, and returns it in lower case.
func (c *Checks) Commit(field, s string) string {
	if c.Present(field, s != "") && !commitID.MatchString(s) {
		c.Fail(field, "40 or 64 hexadecimal digits")
	}
	return strings.ToLower(s)
}

// Text wants some text of at most limit bytes without control characters.
func (c *Checks) Text(field, s string, limit int) string {
	if c.Present(field, s != "") {
		c.OptionalText(field, s, limit)
	}
	return s
}

// OptionalText is Text that may be empty.
func (c *Checks) OptionalText(field, s string, limit int) string {
	switch {
	case len(s) > limit:
		c.Fail(field, "at most "+Decimal(int64(limit))+" bytes")
	case strings.ContainsFunc(s, unicode.IsControl), strings.ContainsRune(s, utf8.RuneError):
		c.Fail(field, "text without control characters")
	}
	return s
}

// Branch refuses what git refuses in a branch name (git-check-ref-format) and what a program could take for an option.
func (c *Checks) Branch(field, s string) string {
	c.Text(field, s, 255)
	for _, bad := range []string{"..", "@{", "//", "/."} {
		if strings.Contains(s, bad) {
			c.Fail(field, "a branch name")
		}
	}
	if strings.ContainsAny(s, " ~^:?*[\\") || strings.HasPrefix(s, "-") || strings.HasPrefix(s, "/") ||
		strings.HasPrefix(s, ".") || strings.HasSuffix(s, "/") || strings.HasSuffix(s, ".") || strings.HasSuffix(s, ".lock") {
		c.Fail(field, "a branch name")
	}
	return s
}

// URL wants a plain http or https address.
func (c *Checks) URL(field, s string) string {
	if c.Present(field, s != "") {
		c.OptionalURL(field, s)
	}
	return s
}

// OptionalURL wants plain http or https: no other scheme, no credentials, no query. Whether a token may be sent
// there is decided where the token is.
func (c *Checks) OptionalURL(field, s string) string {
	if s == "" {
		return s
	}
	c.OptionalText(field, s, 2048)
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		c.Fail(field, "an http or https URL without credentials or query")
	}
	return s
}

// Err is the first trouble, or nil. It is permanent.
func (c *Checks) Err() error { return c.err }

// Decimal writes a number in decimal digits.
func Decimal(id int64) string { return strconv.FormatInt(id, 10) }

// FirstOf is the first of the values that is not empty.
func FirstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
