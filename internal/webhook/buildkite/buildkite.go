// Package buildkite reads Buildkite's pipeline webhooks. All of it is pure: bytes in, facts out.
//
// It promises that nothing which the token's owner did not sign or send passes Verify, that every body ends as an
// event, a named reason to ignore it, or an error that says where, and that no field leaves Parse unbounded or with
// control characters in it.
package buildkite

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
)

// Provider is this provider's name in failures, subjects and records.
const Provider = "buildkite"

// The headers of which a webhook sends one, by its settings: the token itself, or "timestamp=...,signature=...".
// https://buildkite.com/docs/apis/webhooks/pipelines#http-headers
const (
	HeaderToken     = "X-Buildkite-Token" //nolint:gosec // G101: a header's name
	HeaderSignature = "X-Buildkite-Signature"
)

// Webhooks is Buildkite's row in the table of providers.
func Webhooks() webhook.Provider {
	return webhook.Provider{
		Name: Provider, Signs: true, Sends: true, Credentials: []string{HeaderSignature, HeaderToken},
		Verify: Verify, Identify: Identify, Repository: Repository, Parse: Parse,
	}
}

// Verify checks the signature where there is one, else the token. A request with both must have a good signature.
func Verify(r *webhook.Request, keys webhook.Keys) error {
	if len(r.Header.Values(HeaderSignature)) > 0 {
		return verifySignature(r, keys)
	}
	token, err := sign.One(r.Header, HeaderToken)
	if err != nil {
		return err
	}
	if !sign.Token(token, keys.Tokens) {
		return sign.Mismatch(HeaderToken)
	}
	return nil
}

// signatureForm is the header's form; blanks may stand after the comma.
var signatureForm = regexp.MustCompile(`^timestamp=([0-9]{1,12}), *signature=([0-9A-Fa-f]{64})$`)

// verifySignature checks the HMAC-SHA256 over "timestamp.body".
// https://buildkite.com/docs/apis/webhooks/pipelines#webhook-signature
func verifySignature(r *webhook.Request, keys webhook.Keys) error {
	value, err := sign.One(r.Header, HeaderSignature)
	if err != nil {
		return err
	}
	m := signatureForm.FindStringSubmatch(value)
	if m == nil || !sign.HMAC(m[2], keys.Signing, []byte(m[1]), []byte("."), r.Body) {
		return sign.Mismatch(HeaderSignature)
	}
	return sign.Fresh(m[1], r.Received)
}

var eventName = regexp.MustCompile(`^[a-z0-9_.:-]{1,64}$`)

// Identify returns the body's "event". The header X-Buildkite-Event says the same, but nobody signs it. There is no
// documented id of a delivery; the hash of the body stands for it.
func Identify(r *webhook.Request) (id, event string, err error) {
	if event = strings.ToLower(payload.MemberText(r.Body, "event")); !eventName.MatchString(event) {
		return "", "", fmt.Errorf("field event: want a value that matches %s", eventName)
	}
	return "", event, nil
}
