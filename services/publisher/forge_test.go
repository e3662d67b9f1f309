package publisher_test

import (
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/services/publisher"
)

func TestAPullRequestIsOpenedWhereTheRepositoryIs(t *testing.T) {
	lab := github.New("https://api.github.com", "t", nil)
	target := publisher.Targets(
		[]origin.Forge{{Name: origin.GitHub, Base: "https://github.com"}, {Name: origin.GitLab, Base: "https://gitlab.com"}, {Name: origin.Gitea, Base: "https://tea.example"}},
		map[string]publisher.Writer{origin.GitHub: {Forge: github.New("https://api.github.com", "t", nil)}, origin.GitLab: {Token: config.NewSecret("lab"), Forge: lab}},
	)
	for name, tt := range map[string]struct{ clone, reason, says string }{
		"a forge that can be written to":     {"https://gitlab.com/acme/web/shop.git", "", ""},
		"one whose token is not set":         {"https://github.com/acme/shop.git", "no_write_token", "set GITHUB_WRITE_TOKEN"},
		"one on which nothing here can open": {"https://tea.example/acme/shop.git", "no_publisher", "can be opened on gitea"},
		"none of them":                       {"https://evil.example/acme/shop.git", "no_forge", "none of the forges"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := target(ci.Failure{Provider: "jenkins", Repository: ci.Repository{CloneURL: tt.clone}})
			if reason, _ := fault.Reason(err); reason != tt.reason {
				t.Fatalf("%v, want %q", err, tt.reason)
			}
			if tt.reason != "" && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q is not in %q", tt.says, err)
			}
			if tt.reason == "" && (got.Forge != publisher.Forge(lab) || got.Owner != "acme/web" || got.Name != "shop") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The way a run ends when nothing may write there: the fix stays.
func TestAForgeWithoutATokenEndsTheRunAndKeepsTheFix(t *testing.T) {
	r := newRig(t)
	r.Target = publisher.Targets([]origin.Forge{{Name: origin.GitHub, Base: r.forge.URL()}}, map[string]publisher.Writer{origin.GitHub: {Forge: r.hub}})
	got := r.publish(r.Service)
	if got.State != "blocked" || got.Reason != "no_write_token" || !strings.Contains(got.Explanation, "GITHUB_WRITE_TOKEN") {
		t.Errorf("%s(%s): %s", got.State, got.Reason, got.Explanation)
	}
	if _, err := r.st.Fix(t.Context(), got.ID); err != nil {
		t.Errorf("the fix is gone: %v", err)
	}
}
