// Package bitbucket reads Bitbucket Cloud's webhooks: commit statuses, which Bitbucket Pipelines and other CI systems
// set. All of it is pure: bytes in, facts out.
//
// It promises that nothing which the secret's owner did not sign passes Verify, that every body ends as an event, a
// named reason to ignore it, or an error that says where, and that a status which is set again has the same run key.
package bitbucket

import (
	"regexp"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
)

// Provider is this provider's name in failures, subjects and records.
const Provider = "bitbucket"

// The headers that Bitbucket Cloud sends with each delivery.
// https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/ and, for the signature,
// https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/
const (
	HeaderSignature = "X-Hub-Signature"
	HeaderEvent     = "X-Event-Key"
	HeaderDelivery  = "X-Request-UUID"
)

// Webhooks is Bitbucket Cloud's row in the table of providers.
func Webhooks() webhook.Provider {
	return webhook.Provider{
		Name: Provider, Signs: true, Credentials: []string{HeaderSignature},
		Verify: Verify, Identify: Identify, Repository: Repository, Parse: Parse,
	}
}

// Verify checks the request's HMAC-SHA256 signature over the raw body. No other algorithm counts.
func Verify(r *webhook.Request, keys webhook.Keys) error {
	return sign.HexHeader(r, HeaderSignature, "sha256=", keys.Signing)
}

var (
	deliveryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	eventKey   = regexp.MustCompile(`^[a-z][a-z_:]{0,63}$`)
)

// Identify returns the request's id and the event's key, such as "repo:commit_status_updated". Bitbucket sends a request
// up to three times; should it have another id then, its body is the same.
func Identify(r *webhook.Request) (id, event string, err error) {
	if id, err = r.Named(HeaderDelivery, deliveryID); err != nil {
		return "", "", err
	}
	if event, err = r.Named(HeaderEvent, eventKey); err != nil {
		return "", "", err
	}
	return id, event, nil
}
