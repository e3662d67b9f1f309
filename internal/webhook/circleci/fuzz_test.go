package circleci_test

import (
	"net/http"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/circleci"
	"github.com/sre-agent/sre-agent/internal/webhook/circleci/circlecitest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func FuzzVerify(f *testing.F) {
	for _, example := range circlecitest.Examples() {
		body := circlecitest.Example(example)
		f.Add(circlecitest.Sign("k", body), body, 7)
	}
	f.Add("v1=", []byte{}, 0)
	f.Add("v1=00,v1=11,v2", []byte("{}"), -3)
	f.Fuzz(func(t *testing.T, signature string, body []byte, at int) {
		r := &webhook.Request{Header: http.Header{circleci.HeaderSignature: {signature}}, Body: body}
		check.Signed(t, circleci.Webhooks(), r, "k", at)
	})
}

func FuzzParse(f *testing.F) {
	for _, example := range circlecitest.Examples() {
		body := circlecitest.Example(example)
		f.Add(eventOf(f, body), body)
	}
	for _, body := range check.Hostile() {
		f.Add("workflow-completed", body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		_, _, _ = circleci.Identify(&webhook.Request{Body: body})
		circleci.Repository(payload.Unread(body))
		e, err := circleci.Parse(event, body)
		check.Parsed(t, circleci.Provider, e, err)
	})
}
