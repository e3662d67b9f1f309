// Package azuredevops reads the service hooks of Azure DevOps. All of it is pure: bytes in, facts out.
//
// It promises that no request without the user and password passes Verify, that every body ends as an event, a named
// reason to ignore it, or an error that says where, and that no field leaves Parse unbounded or with control
// characters in it.
package azuredevops

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
)

// Provider is this provider's name in failures, subjects and records.
const Provider = "azure-devops"

// HeaderAuthorization holds the user and password of the subscription. Service hooks sign nothing.
// https://learn.microsoft.com/en-us/azure/devops/service-hooks/services/webhooks
const HeaderAuthorization = "Authorization"

// Webhooks is Azure DevOps' row in the table of providers.
func Webhooks() webhook.Provider {
	return webhook.Provider{
		Name: Provider, Sends: true, Credentials: []string{HeaderAuthorization},
		Verify: Verify, Identify: Identify, Repository: Repository, Parse: Parse,
	}
}

// Verify checks basic authentication (RFC 7617). A key is "user:password".
func Verify(r *webhook.Request, keys webhook.Keys) error {
	value, err := sign.One(r.Header, HeaderAuthorization)
	if err != nil {
		return err
	}
	scheme, encoded, _ := strings.Cut(value, " ")
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if !strings.EqualFold(scheme, "Basic") || err != nil || !sign.Token(string(decoded), keys.Tokens) {
		return sign.Mismatch(HeaderAuthorization)
	}
	return nil
}

var (
	deliveryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	eventName  = regexp.MustCompile(`^[a-z0-9_.:-]{1,64}$`)
)

// Identify returns the body's "id", which is the event's own: the same when a notification is sent again, and the same
// for two subscriptions that match one event.
func Identify(r *webhook.Request) (id, event string, err error) {
	if id = payload.MemberText(r.Body, "id"); !deliveryID.MatchString(id) {
		return "", "", fmt.Errorf("field id: want a value that matches %s", deliveryID)
	}
	if event = strings.ToLower(payload.MemberText(r.Body, "eventType")); !eventName.MatchString(event) {
		return "", "", fmt.Errorf("field eventType: want a value that matches %s", eventName)
	}
	return id, event, nil
}
