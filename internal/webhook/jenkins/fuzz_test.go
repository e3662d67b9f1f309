package jenkins_test

import (
	"net/url"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/jenkins"
	"github.com/sre-agent/sre-agent/internal/webhook/jenkins/jenkinstest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func FuzzVerify(f *testing.F) {
	f.Add("token=k", "k")
	f.Add("token=k&token=k", "k")
	f.Add("token=&x=%zz;", "")
	f.Fuzz(func(t *testing.T, query, key string) {
		values, _ := url.ParseQuery(query)
		r := &webhook.Request{Query: values}
		passes := jenkins.Verify(r, webhook.Keys{Tokens: [][]byte{[]byte(key)}}) == nil
		if right := key != "" && len(values["token"]) == 1 && values.Get("token") == key; passes != right {
			t.Errorf("%q passes: %v, want %v", query, passes, right)
		}
		if passes && jenkins.Verify(r, webhook.Keys{Tokens: [][]byte{[]byte(key + "x")}}) == nil {
			t.Error("it passes under another key too")
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, example := range jenkinstest.Examples() {
		f.Add(jenkinstest.Example(example))
	}
	for _, body := range check.Hostile() {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, event, _ := jenkins.Identify(&webhook.Request{Body: body})
		jenkins.Repository(payload.Unread(body))
		e, err := jenkins.Parse(event, body)
		check.Parsed(t, jenkins.Provider, e, err)
	})
}
