package runner

import (
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/origin"
)

// remotes says where the repository of a failure is, and how it is fetched from there with the token that reads it.
func remotes(cfg *config.Config) func(ci.Failure) (gitrepo.Remote, origin.Place, error) {
	forges := origin.Forges(cfg)
	tokens := map[string]config.Secret{
		origin.GitHub: cfg.ReadToken, origin.GitLab: cfg.GitLabReadToken, origin.Gitea: cfg.GiteaReadToken, origin.Forgejo: cfg.ForgejoReadToken,
		origin.Bitbucket: cfg.BitbucketReadToken, origin.Azure: cfg.AzureDevOpsReadToken,
		origin.PlainGit: cfg.PlainGitReadToken,
	}
	return func(f ci.Failure) (gitrepo.Remote, origin.Place, error) {
		at, err := origin.Find(forges, f)
		if err != nil {
			return gitrepo.Remote{}, at, err
		}
		token := tokens[at.Forge]
		if !token.IsSet() {
			return gitrepo.Remote{}, at, fault.Permf("no_token", "the code is on %s, which is not read: set %s", at.Base, config.ReadTokenName(at.Forge))
		}
		return gitrepo.Remote{URL: at.GitURL, Username: at.User, Token: token.Reveal()}, at, nil
	}
}
