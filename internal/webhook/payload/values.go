package payload

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"
)

// MemberText is the string at a path of keys, and empty where there is none. Like Member it trusts nothing.
func MemberText(body []byte, path ...string) string {
	for _, key := range path {
		if body = Member(body, key); body == nil {
			return ""
		}
	}
	// Most texts are what they look like.
	v := bytes.TrimSpace(body)
	if n := len(v); n >= 2 && v[0] == '"' && v[n-1] == '"' && !bytes.ContainsAny(v[1:n-1], `"\`) && utf8.Valid(v) {
		return string(v[1 : n-1])
	}
	var s string
	if json.Unmarshal(body, &s) != nil {
		return ""
	}
	return s
}

// IsCommit says whether s is a full commit id.
func IsCommit(s string) bool { return commitID.MatchString(s) }

// OptionalBranch is Branch that may be empty.
func (c *Checks) OptionalBranch(field, s string) string {
	if s == "" {
		return ""
	}
	return c.Branch(field, s)
}

// OptionalTime wants a time of RFC 3339 between 2000 and 2200, and is the zero time for none.
func (c *Checks) OptionalTime(field, s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		c.Fail(field, "a time of RFC 3339")
		return time.Time{}
	}
	return t.UTC()
}
