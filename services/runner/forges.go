package runner

import (
	"net/url"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/webhook/github"
)

// forge is where repositories are fetched from. Addresses are made from its base and a repository's names; what a
// webhook calls an address only says which forge it is.
type forge struct {
	provider string
	base     string
	user     string
	token    config.Secret
	// azure is the form of Azure Repos, whose base is the organisation: base/project/_git/name.
	azure bool
}

// forges are the forges of a configuration. User names are those that each documents for tokens.
func forges(c *config.Config) []forge {
	return []forge{
		{provider: github.Provider, base: c.GitHubGitURL, token: c.ReadToken},
		{provider: "gitlab", base: c.GitLabGitURL, user: "oauth2", token: c.GitLabReadToken},
		{provider: "gitea", base: c.GiteaURL, user: "sre-agent", token: c.GiteaReadToken},
		{provider: "forgejo", base: c.ForgejoURL, user: "sre-agent", token: c.ForgejoReadToken},
		{provider: "bitbucket", base: c.BitbucketGitURL, user: "x-token-auth", token: c.BitbucketReadToken},
		{provider: "azure-devops", base: c.AzureDevOpsURL, user: "sre-agent", token: c.AzureDevOpsReadToken, azure: true},
	}
}

// remotes says where the repository of a failure is fetched from, and whether that is GitHub, where the publisher is.
func remotes(forges []forge) func(ci.Failure) (gitrepo.Remote, bool, error) {
	return func(f ci.Failure) (gitrepo.Remote, bool, error) {
		for _, at := range forges {
			owner, name, ok := at.holds(f)
			if !ok {
				continue
			}
			if !at.token.IsSet() {
				return gitrepo.Remote{}, false, fault.Permf("no_token", "the code is on %s, which is not read: set %s", at.base, config.ReadTokenName(at.provider))
			}
			return at.remote(owner, name), at.provider == github.Provider, nil
		}
		return gitrepo.Remote{}, false, fault.Permf("no_forge", "the code is on none of the forges that are configured: %s", f.Repository.WebURL)
	}
}

// holds says whether a repository is on this forge, and by which names. A forge's own webhooks are about itself; what
// other providers' are about, their clone address tells.
func (g forge) holds(f ci.Failure) (owner, name string, ok bool) {
	if g.base == "" {
		return "", "", false
	}
	if g.provider == f.Provider && !g.azure {
		return f.Repository.Owner, f.Repository.Name, true
	}
	base, err := url.Parse(strings.TrimRight(g.base, "/"))
	at, cerr := url.Parse(f.Repository.CloneURL)
	if err != nil || cerr != nil || !strings.EqualFold(base.Host, at.Host) {
		return "", "", false
	}
	path, ok := strings.CutPrefix(at.Path, base.Path+"/")
	if g.azure {
		project, repository, isRepo := strings.Cut(path, "/_git/")
		return project, repository, ok && isRepo && !strings.Contains(project, "/")
	}
	cut := strings.LastIndexByte(path, '/')
	if !ok || cut < 1 {
		return "", "", false
	}
	return path[:cut], strings.TrimSuffix(path[cut+1:], ".git"), true
}

func (g forge) remote(owner, name string) gitrepo.Remote {
	r := gitrepo.Below(g.base, g.token.Reveal())(owner, name)
	if g.azure {
		r.URL = strings.TrimRight(g.base, "/") + "/" + owner + "/_git/" + name
	}
	r.Username = g.user
	return r
}
