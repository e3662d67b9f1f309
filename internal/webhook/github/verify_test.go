package github_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
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
		{"another secret fails", sig(documented), "Hello, World!", [][]byte{[]byte("other")}, github.ErrBadSignature},
		{"one changed byte fails", sig(documented), "Hello, World?", ours, github.ErrBadSignature},
		{"no secret at all accepts nothing", sig(documented), "Hello, World!", nil, github.ErrBadSignature},
		{"an empty secret never matches", sig(githubtest.Sign("", body)), "Hello, World!", [][]byte{{}}, github.ErrBadSignature},
		{"no header is unsigned", nil, "Hello, World!", ours, github.ErrUnsigned},
		{"an empty header is unsigned", sig(""), "Hello, World!", ours, github.ErrUnsigned},
		{"the SHA-1 header alone is unsigned", map[string][]string{"X-Hub-Signature": {"sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"}}, "Hello, World!", ours, github.ErrUnsigned},
		{"two headers fail even when one is right", map[string][]string{github.HeaderSignature: {documented, documented}}, "Hello, World!", ours, github.ErrBadSignature},
		{"digits without a prefix fail", sig(documented[7:]), "Hello, World!", ours, github.ErrBadSignature},
		{"a short signature fails", sig(documented[:70]), "Hello, World!", ours, github.ErrBadSignature},
		{"a long signature fails", sig(documented + "00"), "Hello, World!", ours, github.ErrBadSignature},
		{"a digit that is not hexadecimal fails", sig("sha256=" + strings.Repeat("z", 64)), "Hello, World!", ours, github.ErrBadSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := github.Verify(tt.header, []byte(tt.body), tt.secrets); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

func sig(value string) map[string][]string {
	return map[string][]string{http.CanonicalHeaderKey(github.HeaderSignature): {value}}
}

func TestRequestIsWhatVerifyAndMetaAccept(t *testing.T) {
	body := githubtest.Example(githubtest.Push)
	req := githubtest.Request("http://127.0.0.1/webhooks/github", "s3cret", "push", "72d3162e-cc78-11e3-81ab-4c9367dc0958", body)
	if err := github.Verify(req.Header, body, [][]byte{[]byte("s3cret")}); err != nil {
		t.Error(err)
	}
	delivery, event, err := github.Meta(req.Header)
	if err != nil || delivery != "72d3162e-cc78-11e3-81ab-4c9367dc0958" || event != "push" {
		t.Errorf("Meta = %q, %q, %v", delivery, event, err)
	}
}

func TestMetaRefuses(t *testing.T) {
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
			_, _, err := github.Meta(header)
			if err == nil || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("Meta error = %v, want one that names %s", err, tt.names)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	body := githubtest.Example(githubtest.WorkflowRunFailure)
	f.Add(githubtest.Sign("s", body), body)
	f.Add("sha256=", []byte{})
	f.Add("sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59", []byte("{}"))
	f.Fuzz(func(t *testing.T, signature string, body []byte) {
		header := http.Header{}
		header.Set(github.HeaderSignature, signature)
		err := github.Verify(header, body, [][]byte{[]byte("s")})
		right := strings.EqualFold(signature, githubtest.Sign("s", body)) && strings.HasPrefix(signature, "sha256=")
		if (err == nil) != right {
			t.Errorf("Verify(%q) = %v, want accepted: %v", signature, err, right)
		}
		if right && github.Verify(header, append(bytes.Clone(body), 0), [][]byte{[]byte("s")}) == nil {
			t.Error("a longer body passes with the same signature")
		}
	})
}
