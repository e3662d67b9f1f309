// Package gitlab reads GitLab's webhooks: pipeline and job events. All of it is pure: bytes in, facts out.
//
// It promises that nothing passes Verify without the token or a signature by the signing token, that every body ends
// as an event, a named reason to ignore it, or an error that says where, and that the pipeline's and the jobs' events
// of one commit have one run key.
package gitlab

import (
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
)

// Provider is this provider's name in failures, subjects and records.
const Provider = "gitlab"

// The headers that GitLab sends with each delivery; those of a signed one are in package sign.
// https://docs.gitlab.com/user/project/integrations/webhooks/#delivery-headers
const (
	HeaderEvent = "X-Gitlab-Event"
	HeaderPlain = "X-Gitlab-Token"
	// HeaderDelivery stays the same when GitLab sends a delivery again. X-Gitlab-Event-UUID does not serve: deliveries
	// that one event causes share it. X-Gitlab-Webhook-UUID does not either: it is new with each try.
	HeaderDelivery = "Idempotency-Key"
)

// Webhooks is GitLab's row in the table of providers.
func Webhooks() webhook.Provider {
	return webhook.Provider{
		Name: Provider, Signs: true, Sends: true, Credentials: []string{sign.HeaderSignature, HeaderPlain},
		Verify: Verify, Identify: Identify, Repository: Repository, Parse: Parse,
	}
}

// Verify checks the signature by the newer signing token (Standard Webhooks) wherever there is one and a signing token
// is known; else the secret token, which travels as it is.
// https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944
func Verify(r *webhook.Request, keys webhook.Keys) error {
	signed := len(r.Header.Values(sign.HeaderSignature)) > 0
	if signed && len(keys.Signing) > 0 || len(keys.Tokens) == 0 {
		return sign.Standard(r, keys.Signing)
	}
	token, err := sign.One(r.Header, HeaderPlain)
	if err != nil {
		return err
	}
	if !sign.Token(token, keys.Tokens) {
		return sign.Mismatch(HeaderPlain)
	}
	return nil
}

var (
	deliveryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	eventTitle = regexp.MustCompile(`^[A-Za-z][A-Za-z ]{0,63}$`)
)

// Identify returns the delivery's id and the event's name: "pipeline" for "Pipeline Hook". A signed request has its id
// in Webhook-Id too, with the same value, and there it is signed. Older servers send none: the id is empty.
func Identify(r *webhook.Request) (id, event string, err error) {
	header := HeaderDelivery
	if len(r.Header.Values(sign.HeaderSignature)) > 0 {
		header = sign.HeaderID
	}
	if len(r.Header.Values(header)) > 0 {
		if id, err = r.Named(header, deliveryID); err != nil {
			return "", "", err
		}
	}
	title, err := r.Named(HeaderEvent, eventTitle)
	if err != nil {
		return "", "", err
	}
	return id, strings.ReplaceAll(strings.ToLower(strings.TrimSuffix(title, " Hook")), " ", "_"), nil
}
