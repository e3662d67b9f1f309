package github_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

func nested(levels int) []byte {
	return []byte(`{"a":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + `}`)
}

func TestMalformedBodiesAreRefusedWithThePlace(t *testing.T) {
	failure := githubtest.Example(githubtest.WorkflowRunFailure)
	for _, tt := range []struct {
		name, says string
		body       []byte
	}{
		{"truncated", "at byte 10000: unexpected end of JSON input", failure[:10_000]},
		{"empty", "at byte 0: unexpected end", nil},
		{"two values", "at byte 3: invalid character '{'", []byte("{}{}")},
		{"form encoded", "at byte 1: invalid character 'p'", []byte("payload=%7B%7D")},
		{"a raw null byte", "at byte 3: invalid character", []byte("{\"\x00\":1}")},
		{"nested 100,000 deep", "exceeded max depth", nested(100_000)},
		{"nested 10 million deep and never closed", "exceeded max depth", bytes.Repeat([]byte(`{"a":`), 5_000_000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for event, err := range map[string]error{
				"Valid": github.Valid(tt.body), "workflow_run": parseError("workflow_run", tt.body), "push": parseError("push", tt.body),
			} {
				reason, _ := fault.Reason(err)
				if reason != github.ReasonMalformed || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s: error %v, want %s with %q", event, err, github.ReasonMalformed, tt.says)
				}
			}
		})
	}
}

func parseError(event string, body []byte) error {
	_, err := github.Parse(event, body)
	return err
}

func TestValid(t *testing.T) {
	for _, good := range []string{"{}", " \r\n\t{\"a\":1}\n", string(nested(9_000))} {
		if err := github.Valid([]byte(good)); err != nil {
			t.Errorf("Valid(%.20q) = %v", good, err)
		}
	}
	for _, bad := range []string{"[]", "null", `"x"`, "1"} {
		if err := github.Valid([]byte(bad)); err == nil {
			t.Errorf("Valid(%s) accepts what is no object", bad)
		}
	}
}

func TestDuplicateKeysAreHarmless(t *testing.T) {
	body := []byte(`{"action":"requested","action":"completed","repository":{"name":"old"},"repository":{"name":"n","owner":{"login":"o"}},` +
		`"workflow_run":{"conclusion":"cancelled"},"workflow_run":{"conclusion":"skipped"}}`)
	event, err := github.Parse("workflow_run", body)
	if err != nil || event.Reason != "conclusion_skipped" {
		t.Errorf("Parse = %+v, %v", event, err)
	}
	if owner, name := github.Repository(body); owner != "o" || name != "n" {
		t.Errorf("Repository = %q, %q: want the last, as Parse reads it", owner, name)
	}
}

func TestRepository(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"GitHub's failed run", string(githubtest.Example(githubtest.WorkflowRunFailure)), "octo-org/octo-repo"},
		{"GitHub's push", string(githubtest.Example(githubtest.Push)), "Codertocat/Hello-World"},
		{"an organisation's event", `{"action":"x","organization":{"login":"acme"}}`, "/"},
		{"null", `{"repository":null}`, "/"},
		{"a nested repository only", `{"workflow_run":{"repository":{"name":"n","owner":{"login":"o"}}}}`, "/"},
		{"a string value that looks like the key", `{"x":"repository","y":{"name":"n","owner":{"login":"o"}}}`, "/"},
		{"quotes, braces and backslashes in strings", `{"a":"}{\\\"","b":["\\"],"repository":{"name":"n","owner":{"login":"o"}},"c":"\\"}`, "o/n"},
		{"white space everywhere", "{ \"repository\" : { \"name\" : \"n\" , \"owner\" : { \"login\" : \"o\" } } }", "o/n"},
		{"a name with wildcards", `{"repository":{"name":"*.>","owner":{"login":"o"}}}`, "/"},
		{"a name that climbs", `{"repository":{"name":"..","owner":{"login":"o"}}}`, "/"},
		{"not JSON", `{"repository":{"name":"n","owner":{"login":"o"}`, "/"},
		{"a string without end", `{"repository`, "/"},
		{"empty", "", "/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			owner, name := github.Repository([]byte(tt.body))
			if got := owner + "/" + name; got != tt.want {
				t.Errorf("Repository = %q, want %q", got, tt.want)
			}
		})
	}
}

// large is a push of about 25 MB, GitHub's own limit.
func large() []byte {
	commit := `{"id":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","message":"a \"quoted\" message\n","added":["a/b/c.go"]},`
	return []byte(`{"commits":[` + strings.Repeat(commit, 25<<20/len(commit)) + `{}],"repository":{"name":"n","owner":{"login":"o"}}}`)
}

func BenchmarkRepositoryOf25MB(b *testing.B) {
	body := large()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if owner, _ := github.Repository(body); owner != "o" {
			b.Fatal(owner)
		}
	}
}

func BenchmarkValidOf25MB(b *testing.B) {
	body := large()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := github.Valid(body); err != nil {
			b.Fatal(err)
		}
	}
}
