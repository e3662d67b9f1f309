package generic_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/generic"
	"github.com/sre-agent/sre-agent/internal/webhook/generic/generictest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func FuzzVerify(f *testing.F) {
	now := time.Date(2026, 11, 3, 10, 20, 30, 0, time.UTC)
	for _, example := range generictest.Examples() {
		body := generictest.Example(example)
		f.Add("msg_1", "1793701230", generictest.Sign("k", "msg_1", now, body), body, 7)
	}
	f.Add("", "-1", "v1,", []byte{}, -3)
	f.Fuzz(func(t *testing.T, id, seconds, signature string, body []byte, at int) {
		header := http.Header{sign.HeaderID: {id}, sign.HeaderTimestamp: {seconds}, sign.HeaderSignature: {signature}}
		check.Signed(t, generic.Webhooks(), &webhook.Request{Header: header, Body: body, Received: now}, "k", at)
	})
}

func FuzzParse(f *testing.F) {
	for _, example := range generictest.Examples() {
		body := generictest.Example(example)
		f.Add(eventOf(f, body), body)
	}
	for _, body := range check.Hostile() {
		f.Add("pipeline.failed", body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		_, _, _ = generic.Identify(&webhook.Request{Header: http.Header{sign.HeaderID: {"msg_1"}}, Body: body})
		generic.Repository(payload.Unread(body))
		e, err := generic.Parse(event, body)
		check.Parsed(t, generic.Provider, e, err)
	})
}
