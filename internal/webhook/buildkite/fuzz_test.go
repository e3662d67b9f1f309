package buildkite_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/buildkite"
	"github.com/sre-agent/sre-agent/internal/webhook/buildkite/buildkitetest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func FuzzVerify(f *testing.F) {
	now := time.Date(2026, 11, 3, 10, 20, 30, 0, time.UTC)
	for _, example := range buildkitetest.Examples() {
		body := buildkitetest.Example(example)
		f.Add(buildkitetest.Sign("k", now, body), "", body, 7)
	}
	f.Add("", "k", []byte("{}"), 0)
	f.Add("timestamp=,signature=", "k", []byte{}, -3)
	f.Fuzz(func(t *testing.T, signature, token string, body []byte, at int) {
		r := &webhook.Request{Header: http.Header{buildkite.HeaderSignature: {signature}, buildkite.HeaderToken: {token}}, Body: body, Received: now}
		check.Signed(t, buildkite.Webhooks(), r, "k", at)
		r.Header.Del(buildkite.HeaderSignature)
		if passes := buildkite.Verify(r, webhook.Keys{Tokens: [][]byte{[]byte("k")}}) == nil; passes != (token == "k") {
			t.Errorf("the token %q passes: %v", token, passes)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, example := range buildkitetest.Examples() {
		body := buildkitetest.Example(example)
		f.Add(eventOf(f, body), body)
	}
	for _, body := range check.Hostile() {
		f.Add("build.finished", body)
		f.Add("job.finished", body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		_, _, _ = buildkite.Identify(&webhook.Request{Body: body})
		buildkite.Repository(payload.Unread(body))
		e, err := buildkite.Parse(event, body)
		check.Parsed(t, buildkite.Provider, e, err)
	})
}
