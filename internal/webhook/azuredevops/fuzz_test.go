package azuredevops_test

import (
	"net/http"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/azuredevops"
	"github.com/sre-agent/sre-agent/internal/webhook/azuredevops/azuredevopstest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func FuzzVerify(f *testing.F) {
	f.Add(azuredevopstest.Basic("u:p"), "u:p")
	f.Add("basic dTpw", "u:p")
	f.Add("Basic", "")
	f.Add("Bearer x", "x")
	f.Fuzz(func(t *testing.T, header, key string) {
		r := &webhook.Request{Header: http.Header{"Authorization": {header}}}
		passes := azuredevops.Verify(r, webhook.Keys{Tokens: [][]byte{[]byte(key)}}) == nil
		if right := header == azuredevopstest.Basic(key) && key != ""; right && !passes {
			t.Errorf("%q does not pass for %q", header, key)
		}
		if passes && (key == "" || azuredevops.Verify(r, webhook.Keys{Tokens: [][]byte{[]byte(key + "x")}}) == nil) {
			t.Error("it passes under another key too")
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, example := range azuredevopstest.Examples() {
		body := azuredevopstest.Example(example)
		f.Add(eventOf(f, body), body)
	}
	for _, body := range check.Hostile() {
		f.Add("build.complete", body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		_, _, _ = azuredevops.Identify(&webhook.Request{Body: body})
		azuredevops.Repository(payload.Unread(body))
		e, err := azuredevops.Parse(event, body)
		check.Parsed(t, azuredevops.Provider, e, err)
	})
}
