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

// Read checks that the body is one JSON object in UTF-8, in one pass and with bounded memory: more than 10,000 levels are
// refused. The error names the byte where it stopped.
func Read(body []byte) (Object, error) {
	// jsontext is several times as fast as encoding/json, which still has the last word and the better words.
	if o, ok := index(body); ok {
		return o, utf8Only(body)
	}
	if json.Valid(body) {
		if trimmed := bytes.TrimLeft(body, " \t\r\n"); trimmed[0] != '{' {
			return Object{}, fault.Permf(ReasonMalformed, "body is not a JSON object")
		}
		return Unread(body), utf8Only(body)
	}
	var discard struct{}
	return Object{}, Malformed(json.Unmarshal(body, &discard))
}

// Valid is Read for who needs no member.
func Valid(body []byte) error {
	_, err := Read(body)
	return err
}

func utf8Only(body []byte) error {
	if at := notUTF8(body); at >= 0 {
		return fault.Permf(ReasonMalformed, "body is not UTF-8 at byte %d", at)
	}
	return nil
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
