// Package github reads GitHub's webhooks. All of it is pure: bytes in, facts out.
//
// It promises that nothing which the secret's owner did not sign passes Verify, that every body ends as an event,
// a named reason to ignore it, or an error that says where, and that no field leaves Parse unbounded or with
// control characters in it.
package github

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// Provider is this provider's name in failures, subjects and records.
const Provider = "github"

// The headers that GitHub sends with each delivery.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
const (
	HeaderSignature = "X-Hub-Signature-256"
	HeaderDelivery  = "X-GitHub-Delivery"
	HeaderEvent     = "X-GitHub-Event"
)

var (
	// ErrUnsigned is returned for a request without an HMAC-SHA256 signature; the older SHA-1 header does not count.
	ErrUnsigned = errors.New("no " + HeaderSignature + " header")
	// ErrBadSignature is returned for a signature that is malformed, repeated, or made with none of the secrets.
	ErrBadSignature = errors.New("the signature in " + HeaderSignature + " does not match")
)

const signaturePrefix = "sha256="

// Verify checks the request's signature over the raw body against every secret, in constant time. Empty secrets
// never match, so that a service without secrets accepts nothing.
func Verify(header http.Header, body []byte, secrets [][]byte) error {
	values := header.Values(HeaderSignature)
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return ErrUnsigned
	}
	if len(values) > 1 {
		return ErrBadSignature
	}
	digits, ok := strings.CutPrefix(values[0], signaturePrefix)
	if !ok || len(digits) != hex.EncodedLen(sha256.Size) {
		return ErrBadSignature
	}
	got, err := hex.DecodeString(digits)
	if err != nil {
		return ErrBadSignature
	}
	matched := false
	for _, secret := range secrets {
		if len(secret) == 0 {
			continue
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		// No early return: the time taken must not tell which secret is the current one.
		if hmac.Equal(got, mac.Sum(nil)) {
			matched = true
		}
	}
	if !matched {
		return ErrBadSignature
	}
	return nil
}

var (
	deliveryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	eventName  = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
)

// Meta returns the delivery's id and the event's name. GitHub sends the id as a UUID; a redelivery has the id of
// the first delivery.
func Meta(header http.Header) (delivery, event string, err error) {
	if delivery, err = one(header, HeaderDelivery, deliveryID); err != nil {
		return "", "", err
	}
	if event, err = one(header, HeaderEvent, eventName); err != nil {
		return "", "", err
	}
	return delivery, event, nil
}

func one(header http.Header, name string, allowed *regexp.Regexp) (string, error) {
	values := header.Values(name)
	if len(values) != 1 {
		return "", fmt.Errorf("header %s: %d values, want exactly 1", name, len(values))
	}
	if !allowed.MatchString(values[0]) {
		return "", fmt.Errorf("header %s: want a value that matches %s", name, allowed)
	}
	return values[0], nil
}
