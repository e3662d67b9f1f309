// Package payload holds the bodies of webhooks to their bounds, whoever the provider is.
//
// It promises that no field leaves it unbounded or with control characters in it, that an error says where and never
// quotes a value, and that every error is permanent. It is pure.
package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// The reasons of permanent errors from Valid and Parse.
const (
	ReasonMalformed = "malformed_payload" // the body is not JSON
	ReasonInvalid   = "invalid_payload"   // it is JSON, but a field that is needed is missing or out of bounds
)

// Valid checks that the body is one JSON object in UTF-8, in one pass and with bounded memory: more than 10,000 levels are
// refused. The error names the byte where it stopped.
func Valid(body []byte) error {
	// jsontext is several times as fast as encoding/json, which still has the last word and the better words.
	if jsontext.Value(body).IsValid(asLax...) || json.Valid(body) {
		if trimmed := bytes.TrimLeft(body, " \t\r\n"); trimmed[0] != '{' {
			return fault.Permf(ReasonMalformed, "body is not a JSON object")
		}
		if at := notUTF8(body); at >= 0 {
			return fault.Permf(ReasonMalformed, "body is not UTF-8 at byte %d", at)
		}
		return nil
	}
	var discard struct{}
	return Malformed(json.Unmarshal(body, &discard))
}

// asLax makes jsontext take what encoding/json takes. UTF-8 is looked at by itself: an escaped half of a surrogate pair,
// as a text cut in the middle has, is no reason to refuse a delivery.
var asLax = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// notUTF8 returns where a body stops being UTF-8, or -1. JSON between systems is UTF-8 (RFC 8259, 8.1), and
// encoding/json would silently replace what is not.
func notUTF8(body []byte) int {
	if utf8.Valid(body) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(body[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

// Malformed words an error of encoding/json without quoting the body, which may be long or hold anything.
func Malformed(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fault.Permf(ReasonMalformed, "body is not JSON: at byte %d: %s", syntax.Offset, syntax.Error())
	case errors.As(err, &kind):
		return fault.Permf(ReasonInvalid, "field %s: wrong type or out of range, at byte %d (want %s)", kind.Field, kind.Offset, kind.Type)
	default:
		return fault.Perm(ReasonMalformed, fmt.Errorf("body is not JSON: %w", err))
	}
}

// IsRepositoryPart says whether s may be the name of an owner or a repository: 1 to 100 letters, digits, dots, dashes and
// underscores, as forges have it.
func IsRepositoryPart(s string) bool {
	if s == "" || len(s) > 100 || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// Member returns the last value of a key in the body's outermost object, or nil. It trusts nothing: for bytes that
// are not JSON it returns nil or bytes that a JSON decoder refuses.
func Member(body []byte, key string) []byte {
	var (
		depth   int
		isKey   bool // the next string at depth 1 is a key
		wanted  bool // the value that comes is the wanted one
		start   = -1
		found   []byte
		closeAt = func(end int) {
			if wanted && start >= 0 {
				found = body[start:end]
			}
			wanted, start = false, -1
		}
	)
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			end := stringEnd(body, i)
			if end < 0 {
				return nil
			}
			if depth == 1 && isKey {
				wanted, isKey = string(body[i+1:end-1]) == key, false
			}
			i = end - 1
		case ':':
			if depth == 1 && wanted && start < 0 {
				start = i + 1
			}
		case '{':
			depth++
			isKey = depth == 1
		case '[':
			depth++
		case '}', ']':
			if depth == 1 {
				closeAt(i)
			}
			depth--
		case ',':
			if depth == 1 {
				closeAt(i)
				isKey = true
			}
		}
	}
	return found
}

// stringEnd returns the index after the closing quote of the string that opens at i, or -1.
func stringEnd(body []byte, i int) int {
	for i++; i < len(body); i++ {
		next := bytes.IndexByte(body[i:], '"')
		if next < 0 {
			return -1
		}
		i += next
		escapes := 0
		for j := i - 1; j >= 0 && body[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return -1
}
