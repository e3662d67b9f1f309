package origin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/origin"
)

// The table of addresses, hostile ones among them, is in the runner's forges_test.go: it looks through here.
func TestAPlaceHasTheNamesOfItsForge(t *testing.T) {
	forges := origin.Forges(&config.Config{
		GitHub:  config.GitHub{GitHubGitURL: "https://github.com/"},
		Reading: config.Reading{GitLabGitURL: "https://gitlab.example.com/git", AzureDevOpsURL: "https://dev.azure.com/acme"},
	})
	for name, tt := range map[string]struct {
		failure ci.Failure
		want    origin.Place
		reason  string
	}{
		"GitHub's own": {
			ci.Failure{Provider: "github", Repository: ci.Repository{Owner: "acme", Name: "shop"}},
			origin.Place{Forge: origin.GitHub, Base: "https://github.com/", Owner: "acme", Name: "shop", GitURL: "https://github.com/acme/shop.git"},
			"",
		},
		"GitLab by another's event, whose names are others": {
			ci.Failure{Provider: "circleci", Repository: ci.Repository{Owner: "x", Name: "y", CloneURL: "https://gitlab.example.com/git/acme/web/shop.git"}},
			origin.Place{
				Forge: origin.GitLab, Base: "https://gitlab.example.com/git", Owner: "acme/web", Name: "shop", User: "oauth2",
				GitURL: "https://gitlab.example.com/git/acme/web/shop.git",
			},
			"",
		},
		"Azure Repos": {
			ci.Failure{Provider: "azure-devops", Repository: ci.Repository{CloneURL: "https://dev.azure.com/acme/web/_git/shop"}},
			origin.Place{
				Forge: origin.Azure, Base: "https://dev.azure.com/acme", Owner: "web", Name: "shop", User: "sre-agent",
				GitURL: "https://dev.azure.com/acme/web/_git/shop",
			},
			"",
		},
		"nowhere": {ci.Failure{Provider: "jenkins", Repository: ci.Repository{CloneURL: "https://evil.example/acme/shop.git"}}, origin.Place{}, "no_forge"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := origin.Find(forges, tt.failure)
			reason, _ := fault.Reason(err)
			if diff := cmp.Diff(tt.want, got); diff != "" || reason != tt.reason {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}
