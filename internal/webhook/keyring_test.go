package webhook_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/webhook"
)

func ring(t *testing.T) *webhook.Keyring {
	t.Helper()
	k := webhook.NewKeyring()
	k.Add("github", webhook.Keys{Signing: [][]byte{[]byte("old"), []byte("new")}})
	k.Add("jenkins", webhook.Keys{Tokens: [][]byte{[]byte("token")}})
	k.AddScoped("github/Acme", "of-acme", false)
	k.AddScoped("github/acme/Shop", "of-shop", false)
	k.AddScoped("github/acme/shop", "next-of-shop", false)
	k.AddScoped("gitlab/group", "of-group", false)
	k.AddScoped("gitlab/group/sub/app", "of-app", false)
	k.AddScoped("circleci/acme/shop", "scoped-token", true)
	return k
}

func TestOneRepositorysSecretNeverWorksForAnother(t *testing.T) {
	k := ring(t)
	for _, tt := range []struct {
		name, provider, owner, repo string
		signing, tokens             string
	}{
		{"a repository has its own, its owner's and the provider's", "github", "acme", "shop", "old new of-acme of-shop next-of-shop", ""},
		{"names are the same in any case", "github", "ACME", "SHOP", "old new of-acme of-shop next-of-shop", ""},
		{"its neighbour has not its own", "github", "acme", "other", "old new of-acme", ""},
		{"another owner has neither", "github", "evil", "shop", "old new", ""},
		{"an owner whose name only begins alike has neither", "github", "acme-evil", "shop", "old new", ""},
		{"a body without a repository has the provider's alone", "github", "", "", "old new", ""},
		{"a body with a name but no owner too", "github", "", "shop", "old new", ""},
		{"an owner's event has the owner's", "github", "acme", "", "old new of-acme", ""},
		{"a subgroup has the group's", "gitlab", "group/sub", "other", "of-group", ""},
		{"a repository of a subgroup has its own too", "gitlab", "group/sub", "app", "of-group of-app", ""},
		{"a provider without keys of its own has none for others", "gitlab", "acme", "shop", "", ""},
		{"tokens stay tokens", "jenkins", "acme", "shop", "", "token"},
		{"scoped tokens stay tokens", "circleci", "acme", "shop", "", "scoped-token"},
		{"a provider that is off has none", "gitea", "acme", "shop", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := k.For(tt.provider, tt.owner, tt.repo)
			if diff := cmp.Diff(tt.signing+"|"+tt.tokens, join(got.Signing)+"|"+join(got.Tokens)); diff != "" {
				t.Errorf("For (-want +got):\n%s", diff)
			}
		})
	}
}

func join(keys [][]byte) string {
	var parts []string
	for _, key := range keys {
		parts = append(parts, string(key))
	}
	return strings.Join(parts, " ")
}

func TestForLeavesTheRingAsItIs(t *testing.T) {
	k := ring(t)
	for range 3 {
		k.For("github", "acme", "shop")
	}
	if got := join(k.For("github", "", "").Signing); got != "old new" {
		t.Errorf("the provider's keys are now %q", got)
	}
	if got := join(k.For("github", "acme", "other").Signing); got != "old new of-acme" {
		t.Errorf("the neighbour's keys are now %q", got)
	}
}

func TestWhichProvidersAreOn(t *testing.T) {
	k := ring(t)
	k.Add("gitea", webhook.Keys{})
	for _, tt := range []struct {
		provider   string
		on, scoped bool
	}{
		{"github", true, true},
		{"gitlab", true, true},
		{"jenkins", true, false},
		{"circleci", true, true},
		{"gitea", false, false},
		{"git", false, false},
	} {
		t.Run(tt.provider, func(t *testing.T) {
			got := [2]bool{k.On(tt.provider), k.Scoped(tt.provider)}
			if want := [2]bool{tt.on, tt.scoped}; got != want {
				t.Errorf("On, Scoped = %v, want %v", got, want)
			}
		})
	}
}
