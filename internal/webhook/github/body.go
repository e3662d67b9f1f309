package github

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// The reasons of permanent errors from Valid and Parse.
const (
	ReasonMalformed = "malformed_payload" // the body is not JSON
	ReasonInvalid   = "invalid_payload"   // it is JSON, but a field that is needed is missing or out of bounds
)

// Valid checks that the body is one JSON object, in one pass and with bounded memory: encoding/json's scanner keeps
// its own stack and refuses more than 10,000 levels. The error names the byte where it stopped.
func Valid(body []byte) error {
	if json.Valid(body) {
		if trimmed := bytes.TrimLeft(body, " \t\r\n"); trimmed[0] != '{' {
			return fault.Permf(ReasonMalformed, "body is not a JSON object")
		}
		return nil
	}
	var discard struct{}
	return malformed(json.Unmarshal(body, &discard))
}

// malformed words an error of encoding/json without quoting the body, which may be long or hold anything.
func malformed(err error) error {
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

// repositoryPart is what GitHub allows in the name of an owner or a repository.
var repositoryPart = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

func isRepositoryPart(s string) bool { return s != "." && s != ".." && repositoryPart.MatchString(s) }

// Repository returns the owner and name of the repository that a valid body speaks of, and empty strings when it
// names none, as events of an organisation do. It reads only the repository's part of the body, whatever its size.
func Repository(body []byte) (owner, name string) {
	value := member(body, "repository")
	if value == nil {
		return "", ""
	}
	var r struct {
		Name  string `json:"name"`
		Owner struct {
			Login string `json:"login"`
		} `json:"owner"`
	}
	if json.Unmarshal(value, &r) != nil {
		return "", ""
	}
	if !isRepositoryPart(r.Owner.Login) || !isRepositoryPart(r.Name) {
		return "", ""
	}
	return r.Owner.Login, r.Name
}

// member returns the last value of a key in the body's outermost object, or nil. It trusts nothing: for bytes that
// are not JSON it returns nil or bytes that a JSON decoder refuses.
func member(body []byte, key string) []byte {
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
