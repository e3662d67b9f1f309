package gitea_test

import (
	"net/http"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/gitea"
	"github.com/sre-agent/sre-agent/internal/webhook/gitea/giteatest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func FuzzVerify(f *testing.F) {
	body := giteatest.Example(giteatest.RunFailed)
	f.Add(giteatest.Request("https://ci.example.com", "s", "X-Gitea-", "push", "id", body).Header.Get("X-Gitea-Signature"), body, 3)
	f.Add("", []byte("{}"), 0)
	f.Fuzz(func(t *testing.T, signature string, body []byte, flip int) {
		r := &webhook.Request{Header: http.Header{"X-Gitea-Signature": {signature}, "X-Forgejo-Signature": {signature}}, Body: body}
		check.Signed(t, gitea.Webhooks(), r, "s", flip)
		check.Signed(t, gitea.ForgejoWebhooks(), r, "s", flip)
	})
}

func FuzzParse(f *testing.F) {
	for _, examples := range []map[string]string{giteas, forgejos} {
		for example, event := range examples {
			f.Add(event, giteatest.Example(example))
		}
	}
	for _, body := range check.Hostile() {
		f.Add("workflow_run", body)
		f.Add("action_run_failure", body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		for _, p := range []webhook.Provider{gitea.Webhooks(), gitea.ForgejoWebhooks()} {
			p.Repository(payload.Unread(body))
			e, err := p.Parse(event, body)
			check.Parsed(t, p.Name, e, err)
		}
	})
}
