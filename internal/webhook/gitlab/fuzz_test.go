package gitlab_test

import (
	"net/http"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/gitlab"
	"github.com/sre-agent/sre-agent/internal/webhook/gitlab/gitlabtest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func FuzzVerify(f *testing.F) {
	body := gitlabtest.Example(gitlabtest.PipelineFailed)
	good := gitlabtest.Request("https://ci.example.com", "s", "Pipeline Hook", "id-1", at, body).Header
	f.Add(good.Get("Webhook-Signature"), good.Get("Webhook-Timestamp"), "t", body, 7)
	f.Add("v1, v1,AAAA v2,", "-1", "", []byte("{}"), 0)
	f.Fuzz(func(t *testing.T, signature, seconds, token string, body []byte, flip int) {
		r := &webhook.Request{Header: http.Header{
			"Webhook-Id": {"id-1"}, "Webhook-Timestamp": {seconds}, "Webhook-Signature": {signature}, "X-Gitlab-Token": {token},
		}, Body: body, Received: at}
		check.Signed(t, gitlab.Webhooks(), r, "s", flip)
		if err := gitlab.Verify(r, keys("", "t")); (err == nil) != (token == "t" || token == "older") {
			t.Errorf("token %q: %v", token, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for example, event := range examples {
		f.Add(event, gitlabtest.Example(example))
	}
	for _, body := range check.Hostile() {
		f.Add("pipeline", body)
		f.Add("job", body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		gitlab.Repository(payload.Unread(body))
		e, err := gitlab.Parse(event, body)
		check.Parsed(t, gitlab.Provider, e, err)
	})
}
