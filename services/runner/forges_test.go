package runner

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

func TestARepositoryIsFetchedFromAConfiguredForgeAlone(t *testing.T) {
	secret := config.NewSecret
	cfg := &config.Config{
		GitHub: config.GitHub{GitHubGitURL: "https://github.com", ReadToken: secret("hub")},
		Reading: config.Reading{
			GitLabGitURL: "https://gitlab.example.com/git/", GitLabReadToken: secret("lab"), GiteaURL: "https://gitea.example.com", GiteaReadToken: secret("tea"),
			BitbucketGitURL: "https://bitbucket.org", AzureDevOpsURL: "https://dev.azure.com/acme", AzureDevOpsReadToken: secret("azure"),
		},
	}
	remote := remotes(cfg)
	for _, tt := range []struct {
		name, provider, owner, repo, clone string
		want                               gitrepo.Remote
		forge                              string
		reason                             string
	}{
		{"GitHub's own, whatever address it gives", "github", "acme", "shop", "https://evil.example/x/y.git", gitrepo.Remote{URL: "https://github.com/acme/shop.git", Token: "hub"}, "github", ""},
		{"GitLab's own, in groups", "gitlab", "acme/web", "shop", "https://evil.example/x/y.git", gitrepo.Remote{URL: "https://gitlab.example.com/git/acme/web/shop.git", Username: "oauth2", Token: "lab"}, "gitlab", ""},
		{"Gitea's own", "gitea", "acme", "shop", "", gitrepo.Remote{URL: "https://gitea.example.com/acme/shop.git", Username: "sre-agent", Token: "tea"}, "gitea", ""},
		{"Forgejo, of which nothing is configured", "forgejo", "acme", "shop", "https://forgejo.example.com/acme/shop.git", gitrepo.Remote{}, "", "no_forge"},
		{"Bitbucket without a token", "bitbucket", "acme", "shop", "https://bitbucket.org/acme/shop.git", gitrepo.Remote{}, "bitbucket", "no_token"},
		{"Jenkins about GitHub", "jenkins", "acme", "shop", "https://github.com/acme/shop.git", gitrepo.Remote{URL: "https://github.com/acme/shop.git", Token: "hub"}, "github", ""},
		{"Jenkins about GitHub over http and in capitals", "jenkins", "acme", "shop", "http://GitHub.com/acme/shop.git", gitrepo.Remote{URL: "https://github.com/acme/shop.git", Token: "hub"}, "github", ""},
		{"CircleCI about GitLab below a path", "circleci", "git/acme", "shop", "https://gitlab.example.com/git/acme/shop.git", gitrepo.Remote{URL: "https://gitlab.example.com/git/acme/shop.git", Username: "oauth2", Token: "lab"}, "gitlab", ""},
		{"Azure Repos", "azure-devops", "acme/web", "shop", "https://dev.azure.com/acme/web/_git/shop", gitrepo.Remote{URL: "https://dev.azure.com/acme/web/_git/shop", Username: "sre-agent", Token: "azure"}, "azure-devops", ""},
		{"Azure Pipelines about GitHub", "azure-devops", "acme", "shop", "https://github.com/acme/shop.git", gitrepo.Remote{URL: "https://github.com/acme/shop.git", Token: "hub"}, "github", ""},
		{"Azure Repos of another organisation", "azure-devops", "evil/web", "shop", "https://dev.azure.com/evil/web/_git/shop", gitrepo.Remote{}, "", "no_forge"},
		{"a host that nobody configured", "buildkite", "acme", "shop", "https://evil.example/acme/shop.git", gitrepo.Remote{}, "", "no_forge"},
		{"a host whose name goes on", "buildkite", "acme", "shop", "https://github.com.evil.example/acme/shop.git", gitrepo.Remote{}, "", "no_forge"},
		{"another port", "buildkite", "acme", "shop", "https://github.com:8443/acme/shop.git", gitrepo.Remote{}, "", "no_forge"},
		{"a name in front of the host", "buildkite", "acme", "shop", "https://github.com@evil.example/acme/shop.git", gitrepo.Remote{}, "", "no_forge"},
		{"no owner", "buildkite", "", "shop", "https://github.com/shop.git", gitrepo.Remote{}, "", "no_forge"},
		{"no address", "generic", "acme", "shop", "", gitrepo.Remote{}, "", "no_forge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := ci.Failure{Provider: tt.provider, Repository: ci.Repository{Owner: tt.owner, Name: tt.repo, CloneURL: tt.clone, WebURL: tt.clone}}
			got, place, err := remote(f)
			reason, _ := fault.Reason(err)
			if diff := cmp.Diff(tt.want, got); diff != "" || place.Forge != tt.forge || reason != tt.reason {
				t.Errorf("on %q, %v (-want +got):\n%s", place.Forge, err, diff)
			}
		})
	}
}
