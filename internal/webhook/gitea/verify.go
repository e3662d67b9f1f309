// Package gitea reads the webhooks of Gitea and of Forgejo: Actions events and commit statuses. All of it is pure: bytes
// in, facts out.
//
// It promises that nothing which the secret's owner did not sign passes Verify, that every body ends as an event, a
// named reason to ignore it, or an error that says where, and that a run of a workflow, its attempts and its jobs make
// one run. The two servers share most of their payloads; each has a row and headers of its own.
package gitea

import (
	"regexp"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
)

// The two providers' names in failures, subjects and records.
const (
	Provider        = "gitea"
	ForgejoProvider = "forgejo"
)

// Webhooks is Gitea's row in the table of providers.
func Webhooks() webhook.Provider { return row(Provider, "X-Gitea-") }

// ForgejoWebhooks is Forgejo's row. A Forgejo server sends Gitea's headers too; only its own are read.
func ForgejoWebhooks() webhook.Provider { return row(ForgejoProvider, "X-Forgejo-") }

// row is a server's row. Its headers are "-Signature", the HMAC-SHA256 of the body in hexadecimal digits, and empty
// without a secret; "-Delivery" and "-Event". https://docs.gitea.com/usage/webhooks, https://forgejo.org/docs/latest/user/webhooks/
func row(name, prefix string) webhook.Provider {
	return webhook.Provider{
		Name: name, Signs: true, Credentials: []string{prefix + "Signature"},
		Verify: func(r *webhook.Request, keys webhook.Keys) error {
			return sign.HexHeader(r, prefix+"Signature", "", keys.Signing)
		},
		Identify:   func(r *webhook.Request) (id, event string, err error) { return identify(r, prefix) },
		Repository: Repository,
		Parse:      func(event string, body []byte) (webhook.Event, error) { return parse(name, event, body) },
	}
}

var (
	deliveryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	eventName  = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
)

// identify reads the delivery's id, a UUID, and the event's name. A delivery that a person sends again has a new id
// and the same body.
func identify(r *webhook.Request, prefix string) (id, event string, err error) {
	if id, err = r.Named(prefix+"Delivery", deliveryID); err != nil {
		return "", "", err
	}
	if event, err = r.Named(prefix+"Event", eventName); err != nil {
		return "", "", err
	}
	return id, event, nil
}
