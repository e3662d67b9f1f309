// Package circleci reads CircleCI's outbound webhooks. All of it is pure: bytes in, facts out.
//
// It promises that nothing which the secret's owner did not sign passes Verify, that every body ends as an event,
// a named reason to ignore it, or an error that says where, and that no field leaves Parse unbounded or with
// control characters in it.
package circleci

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
)

// Provider is this provider's name in failures, subjects and records.
const Provider = "circleci"

// HeaderSignature holds a list of versions of the signature: "v1=<hexadecimal digits>,v2=...".
// https://circleci.com/docs/guides/integration/outbound-webhooks/
const HeaderSignature = "Circleci-Signature"

// maxVersions is how many versions of the signature one header may list.
const maxVersions = 8

// Webhooks is CircleCI's row in the table of providers.
func Webhooks() webhook.Provider {
	return webhook.Provider{
		Name: Provider, Signs: true, Credentials: []string{HeaderSignature},
		Verify: Verify, Identify: Identify, Repository: Repository, Parse: Parse,
	}
}

// Verify checks the "v1" signature, the HMAC-SHA256 of the raw body. Versions that we don't know do not count, and a
// header with "v1" twice is refused.
func Verify(r *webhook.Request, keys webhook.Keys) error {
	list, err := sign.One(r.Header, HeaderSignature)
	if err != nil {
		return err
	}
	versions := strings.SplitN(list, ",", maxVersions+1)
	digits := ""
	for _, version := range versions[:min(len(versions), maxVersions)] {
		name, value, _ := strings.Cut(strings.TrimSpace(version), "=")
		if name != "v1" {
			continue
		}
		if digits != "" {
			return sign.Mismatch(HeaderSignature)
		}
		digits = value
	}
	if !sign.HMAC(digits, keys.Signing, r.Body) {
		return sign.Mismatch(HeaderSignature)
	}
	return nil
}

var (
	deliveryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	eventName  = regexp.MustCompile(`^[a-z0-9_.:-]{1,64}$`)
)

// Identify returns the body's "id", which is the same when a delivery is sent again, and its "type". The header
// circleci-event-type says the same as the latter, but nobody signs it.
func Identify(r *webhook.Request) (id, event string, err error) {
	if id = payload.MemberText(r.Body, "id"); !deliveryID.MatchString(id) {
		return "", "", fmt.Errorf("field id: want a value that matches %s", deliveryID)
	}
	if event = payload.MemberText(r.Body, "type"); !eventName.MatchString(event) {
		return "", "", fmt.Errorf("field type: want a value that matches %s", eventName)
	}
	return id, event, nil
}
