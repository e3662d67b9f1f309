package github_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func FuzzVerify(f *testing.F) {
	for example := range githubtest.Examples() {
		body := githubtest.Example(example)
		f.Add(githubtest.Sign("s", body), body, 7)
	}
	f.Add("sha256=", []byte{}, 0)
	f.Add(githubtest.Sign("", nil), []byte{}, 0)
	f.Add("sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59", []byte("{}"), 1)
	f.Fuzz(func(t *testing.T, signature string, body []byte, at int) {
		r := &webhook.Request{Header: http.Header{}, Body: body}
		r.Header.Set(github.HeaderSignature, signature)
		err := github.Verify(r, webhook.Keys{Signing: [][]byte{[]byte("s")}})
		right := strings.EqualFold(signature, githubtest.Sign("s", body)) && strings.HasPrefix(signature, "sha256=")
		if (err == nil) != right {
			t.Errorf("Verify(%q) = %v, want accepted: %v", signature, err, right)
		}
		check.Signed(t, github.Webhooks(), r, "s", at)
	})
}

func FuzzParse(f *testing.F) {
	for example, event := range githubtest.Examples() {
		f.Add(event, githubtest.Example(example))
	}
	p := githubtest.Params{NoForks: true, RunID: 7, SuiteID: 8, JobID: 9, WorkflowName: "CI", BaseBranch: "main"}
	f.Add("workflow_job", githubtest.Job(p))
	f.Add("check_run", githubtest.Check(p))
	f.Add("workflow_run", []byte(`{"action":"completed","workflow_run":{"conclusion":"failure","head_branch":"b","head_repository":{}}}`))
	for _, body := range check.Hostile() {
		f.Add("check_suite", body)
		f.Add("status", body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		if owner, name := github.Repository(payload.Unread(body)); strings.ContainsAny(owner+name, "/ \n\x00*>") {
			t.Errorf("Repository = %q, %q", owner, name)
		}
		got, err := github.Parse(event, body)
		check.Parsed(t, github.Provider, got, err)
	})
}
