package bitbucket_test

import (
	"net/http"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/bitbucket"
	"github.com/sre-agent/sre-agent/internal/webhook/bitbucket/bitbuckettest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func FuzzVerify(f *testing.F) {
	body := bitbuckettest.Example(bitbuckettest.PipelinesFailed)
	f.Add(bitbuckettest.Request("https://ci.example.com", "s", updated, "id", body).Header.Get("X-Hub-Signature"), body, 3)
	f.Add("sha256=", []byte("{}"), 0)
	f.Fuzz(func(t *testing.T, signature string, body []byte, flip int) {
		check.Signed(t, bitbucket.Webhooks(), &webhook.Request{Header: http.Header{"X-Hub-Signature": {signature}}, Body: body}, "s", flip)
	})
}

func FuzzParse(f *testing.F) {
	for example, event := range examples {
		f.Add(event, bitbuckettest.Example(example))
	}
	for _, body := range check.Hostile() {
		f.Add(updated, body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		bitbucket.Repository(payload.Unread(body))
		e, err := bitbucket.Parse(event, body)
		check.Parsed(t, bitbucket.Provider, e, err)
	})
}
