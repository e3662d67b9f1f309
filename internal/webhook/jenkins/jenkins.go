// Package jenkins reads what Jenkins' notification plugin sends. All of it is pure: bytes in, facts out.
//
// It promises that no request without the token passes Verify, that every body ends as an event, a named reason to
// ignore it, or an error that says where, and that no field leaves Parse unbounded or with control characters in it.
package jenkins

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
)

// Provider is this provider's name in failures, subjects and records.
const Provider = "jenkins"

// queryToken is the field of the address that holds the token: the plugin sends no header of its own.
// https://plugins.jenkins.io/notification/
const queryToken = "token"

// Webhooks is Jenkins' row in the table of providers.
func Webhooks() webhook.Provider {
	return webhook.Provider{
		Name: Provider, Sends: true, Credentials: []string{"?" + queryToken},
		Verify: Verify, Identify: Identify, Repository: Repository, Parse: Parse,
	}
}

// Verify checks the token in the address.
func Verify(r *webhook.Request, keys webhook.Keys) error {
	values := r.Query[queryToken]
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return fmt.Errorf("%w: the address has no ?%s=", webhook.ErrUnsigned, queryToken)
	case len(values) > 1 || !sign.Token(values[0], keys.Tokens):
		return sign.Mismatch("?" + queryToken)
	}
	return nil
}

var phaseName = regexp.MustCompile(`^[A-Z_]{1,32}$`)

// Identify returns "build." and the build's phase. The plugin has no id for what it sends; the hash of the body stands
// for it, which is good since each body has the build's number, its phase and a time.
func Identify(r *webhook.Request) (id, event string, err error) {
	phase := payload.MemberText(r.Body, "build", "phase")
	if !phaseName.MatchString(phase) {
		return "", "", fmt.Errorf("field build.phase: want a value that matches %s", phaseName)
	}
	return "", "build." + strings.ToLower(phase), nil
}
