package github_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/webhook/github"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

func TestDuplicateKeysAreHarmless(t *testing.T) {
	body := []byte(`{"action":"requested","action":"completed","repository":{"name":"old"},"repository":{"name":"n","owner":{"login":"o"}},` +
		`"workflow_run":{"conclusion":"cancelled"},"workflow_run":{"conclusion":"skipped"}}`)
	event, err := github.Parse("workflow_run", body)
	if err != nil || event.Reason != "conclusion_skipped" {
		t.Errorf("Parse = %+v, %v", event, err)
	}
	if owner, name := github.Repository(payload.Unread(body)); owner != "o" || name != "n" {
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
			owner, name := github.Repository(payload.Unread([]byte(tt.body)))
			if got := owner + "/" + name; got != tt.want {
				t.Errorf("Repository = %q, want %q", got, tt.want)
			}
		})
	}
}
