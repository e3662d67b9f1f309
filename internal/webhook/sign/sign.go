// Package sign checks what webhook requests are signed with: HMAC-SHA256, plain tokens, and Standard Webhooks.
//
// It promises constant time in the secrets, that every key is tried whichever matches, that an empty key never
// matches, and that a credential which comes twice is refused. It is pure.
package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook"
)

// One returns a header's only value. It wraps ErrUnsigned for none and ErrBadSignature for several.
func One(header http.Header, name string) (string, error) {
	values := header.Values(name)
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", fmt.Errorf("%w: there is no %s header", webhook.ErrUnsigned, name)
	case len(values) > 1:
		return "", fmt.Errorf("%w: %d %s headers", webhook.ErrBadSignature, len(values), name)
	}
	return values[0], nil
}

// Mismatch is ErrBadSignature with the header's name.
func Mismatch(header string) error {
	return fmt.Errorf("%w (%s)", webhook.ErrBadSignature, header)
}

// HMAC checks hexadecimal digits of the HMAC-SHA256 of the parts, one after the other, under any of the keys.
func HMAC(digits string, keys [][]byte, parts ...[]byte) bool {
	if len(digits) != hex.EncodedLen(sha256.Size) {
		return false
	}
	got, err := hex.DecodeString(digits)
	return err == nil && mac(got, keys, parts...)
}

func mac(got []byte, keys [][]byte, parts ...[]byte) bool {
	matched := false
	for _, key := range keys {
		if len(key) == 0 {
			continue
		}
		h := hmac.New(sha256.New, key)
		for _, part := range parts {
			h.Write(part)
		}
		// No early return: the time taken must not tell which key is the current one.
		if hmac.Equal(got, h.Sum(nil)) {
			matched = true
		}
	}
	return matched
}

// HexHeader checks a header that is prefix followed by the hexadecimal HMAC-SHA256 of the body.
func HexHeader(r *webhook.Request, name, prefix string, keys [][]byte) error {
	value, err := One(r.Header, name)
	if err != nil {
		return err
	}
	digits, ok := strings.CutPrefix(value, prefix)
	if !ok || !HMAC(digits, keys, r.Body) {
		return Mismatch(name)
	}
	return nil
}

// Token compares a token with each of the keys. What is compared are their hashes: not even the length shows.
func Token(got string, keys [][]byte) bool {
	sum, matched := sha256.Sum256([]byte(got)), false
	for _, key := range keys {
		want := sha256.Sum256(key)
		if len(key) > 0 && subtle.ConstantTimeCompare(sum[:], want[:]) == 1 {
			matched = true
		}
	}
	return matched
}

// Fresh checks a signed time, in whole seconds since 1970, against the time of receipt.
func Fresh(seconds string, received time.Time) error {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return fmt.Errorf("%w: the timestamp is not a number of seconds", webhook.ErrBadSignature)
	}
	if d := received.Sub(time.Unix(n, 0)); d > webhook.MaxSkew || d < -webhook.MaxSkew {
		return webhook.ErrStale
	}
	return nil
}

// The headers of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// maxSignatures is how many signatures one header may list, as it does while a key is replaced.
const maxSignatures = 8

// Standard checks a request by the Standard Webhooks specification: HMAC-SHA256 over "id.timestamp.body", in base64,
// "v1," before it, several separated by blanks. Keys may have the form "whsec_" and base64, or be used as they are.
func Standard(r *webhook.Request, keys [][]byte) error {
	list, err := One(r.Header, HeaderSignature)
	if err != nil {
		return err
	}
	id, err := One(r.Header, HeaderID)
	if err != nil {
		return err
	}
	seconds, err := One(r.Header, HeaderTimestamp)
	if err != nil {
		return err
	}
	decoded := make([][]byte, len(keys))
	for i, key := range keys {
		decoded[i] = standardKey(key)
	}
	signatures := strings.Fields(list)
	matched := false
	for _, s := range signatures[:min(len(signatures), maxSignatures)] {
		digest, ok := strings.CutPrefix(s, "v1,")
		got, err := base64.StdEncoding.DecodeString(digest)
		if ok && err == nil && mac(got, decoded, []byte(id), []byte("."), []byte(seconds), []byte("."), r.Body) {
			matched = true
		}
	}
	if !matched {
		return Mismatch(HeaderSignature)
	}
	return Fresh(seconds, r.Received)
}

func standardKey(key []byte) []byte {
	if text, ok := strings.CutPrefix(string(key), "whsec_"); ok {
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			return raw
		}
	}
	return key
}
