// Package github reads GitHub's webhooks. All of it is pure: bytes in, facts out.
//
// It promises that nothing which the secret's owner did not sign passes Verify, that every body ends as an event,
// a named reason to ignore it, or an error that says where, and that no field leaves Parse unbounded or with
// control characters in it.
package github

import (
	"regexp"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
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

// Webhooks is GitHub's row in the table of providers.
func Webhooks() webhook.Provider {
	return webhook.Provider{
		Name: Provider, Signs: true, Credentials: []string{HeaderSignature},
		Verify: Verify, Identify: Identify, Repository: Repository, Parse: Parse,
	}
}

// Verify checks the request's HMAC-SHA256 signature over the raw body; the older SHA-1 header does not count.
func Verify(r *webhook.Request, keys webhook.Keys) error {
	return sign.HexHeader(r, HeaderSignature, "sha256=", keys.Signing)
}

var (
	deliveryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	eventName  = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
)

// Identify returns the delivery's id and the event's name. GitHub sends the id as a UUID; a redelivery has the id of
// the first delivery.
func Identify(r *webhook.Request) (id, event string, err error) {
	if id, err = r.Named(HeaderDelivery, deliveryID); err != nil {
		return "", "", err
	}
	if event, err = r.Named(HeaderEvent, eventName); err != nil {
		return "", "", err
	}
	return id, event, nil
}
