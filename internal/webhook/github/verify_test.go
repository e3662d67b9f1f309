package github_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/check"
)

func TestVerify(t *testing.T) {
	body := []byte("Hello, World!")
	// The example of https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
	const secret = "It's a Secret to Everybody"
	const documented = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	if got := githubtest.Sign(secret, body); got != documented {
		t.Fatalf("Sign = %s, want GitHub's documented value", got)
	}
	ours := [][]byte{[]byte(secret)}

	for _, tt := range []struct {
		name    string
		header  map[string][]string
		body    string
		secrets [][]byte
		want    error
	}{
		{"the documented example passes", sig(documented), "Hello, World!", ours, nil},
		{"upper case digits pass", sig("sha256=" + strings.ToUpper(documented[7:])), "Hello, World!", ours, nil},
		{"the second of two secrets passes", sig(documented), "Hello, World!", [][]byte{[]byte("new"), []byte(secret)}, nil},
		{"another secret fails", sig(documented), "Hello, World!", [][]byte{[]byte("other")}, webhook.ErrBadSignature},
		{"one changed byte fails", sig(documented), "Hello, World?", ours, webhook.ErrBadSignature},
		{"no secret at all accepts nothing", sig(documented), "Hello, World!", nil, webhook.ErrBadSignature},
		{"an empty secret never matches", sig(githubtest.Sign("", body)), "Hello, World!", [][]byte{{}}, webhook.ErrBadSignature},
		{"no header is unsigned", nil, "Hello, World!", ours, webhook.ErrUnsigned},
		{"an empty header is unsigned", sig(""), "Hello, World!", ours, webhook.ErrUnsigned},
		{"the SHA-1 header alone is unsigned", map[string][]string{"X-Hub-Signature": {"sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}}, "Hello, World!", ours, webhook.ErrUnsigned},
		{"two headers fail even when one is right", map[string][]string{github.HeaderSignature: {documented, documented}}, "Hello, World!", ours, webhook.ErrBadSignature},
		{"digits without a prefix fail", sig(documented[7:]), "Hello, World!", ours, webhook.ErrBadSignature},
		{"a short signature fails", sig(documented[:70]), "Hello, World!", ours, webhook.ErrBadSignature},
		{"a long signature fails", sig(documented + "00"), "Hello, World!", ours, webhook.ErrBadSignature},
		{"a digit that is not hexadecimal fails", sig("sha256=" + strings.Repeat("z", 64)), "Hello, World!", ours, webhook.ErrBadSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := github.Verify(&webhook.Request{Header: tt.header, Body: []byte(tt.body)}, webhook.Keys{Signing: tt.secrets}); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

func sig(value string) map[string][]string {
	return map[string][]string{http.CanonicalHeaderKey(github.HeaderSignature): {value}}
}

func TestRequestIsWhatVerifyAndIdentifyAccept(t *testing.T) {
	body := githubtest.Example(githubtest.Push)
	req := githubtest.Request("http://127.0.0.1/webhooks/github", "s3cret", "push", "72d3162e-cc78-11e3-81ab-4c9367dc0958", body)
	r := &webhook.Request{Header: req.Header, Body: body}
	if err := github.Verify(r, webhook.Keys{Signing: [][]byte{[]byte("s3cret")}}); err != nil {
		t.Error(err)
	}
	if err := github.Verify(r, webhook.Keys{Tokens: [][]byte{[]byte("s3cret")}}); !errors.Is(err, webhook.ErrBadSignature) {
		t.Errorf("Verify = %v: a token is no secret to sign with", err)
	}
	delivery, event, err := github.Identify(r)
	if err != nil || delivery != "72d3162e-cc78-11e3-81ab-4c9367dc0958" || event != "push" {
		t.Errorf("Identify = %q, %q, %v", delivery, event, err)
	}
}

func TestIdentifyRefuses(t *testing.T) {
	long := strings.Repeat("a", 65)
	for _, tt := range []struct {
		name            string
		delivery, event []string
		names           string
	}{
		{"no delivery id", nil, []string{"push"}, github.HeaderDelivery},
		{"two delivery ids", []string{"a", "b"}, []string{"push"}, github.HeaderDelivery},
		{"an empty delivery id", []string{""}, []string{"push"}, github.HeaderDelivery},
		{"a delivery id that is too long", []string{long}, []string{"push"}, github.HeaderDelivery},
		{"a delivery id with a line end", []string{"a\nb"}, []string{"push"}, github.HeaderDelivery},
		{"a delivery id with a trailing line end", []string{"a\n"}, []string{"push"}, github.HeaderDelivery},
		{"no event", []string{"a"}, nil, github.HeaderEvent},
		{"an event with a wildcard", []string{"a"}, []string{"push.>"}, github.HeaderEvent},
		{"an event that is too long", []string{"a"}, []string{long}, github.HeaderEvent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			for _, v := range tt.delivery {
				header.Add(github.HeaderDelivery, v)
			}
			for _, v := range tt.event {
				header.Add(github.HeaderEvent, v)
			}
			_, _, err := github.Identify(&webhook.Request{Header: header})
			if err == nil || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("Identify error = %v, want one that names %s", err, tt.names)
			}
		})
	}
}

func TestSenderIsWhatTheProviderReads(t *testing.T) {
	check.Sender(t, github.Webhooks(), githubtest.Sender(), "s3cret")
}

func TestSenderMakesTheSizesThatAreAskedFor(t *testing.T) {
	for _, size := range []int{10_000, 25_000, 100_000} {
		body := check.Read(t, githubtest.Sender().Pipeline("http://127.0.0.1", "k", webhooktest.Params{Size: size}), time.Now()).Body
		if d := len(body) - size; d < -100 || d > 100 {
			t.Errorf("a body of %d bytes, want %d", len(body), size)
		}
	}
}
