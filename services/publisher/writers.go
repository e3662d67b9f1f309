package publisher

import (
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/forge/gitea"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/forge/gitlab"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/origin"
	webhook "github.com/sre-agent/sre-agent/internal/webhook/github"
)

// writers are the forges that pull requests are opened on, one line each.
func writers(c *config.Config) map[string]Writer {
	return map[string]Writer{
		origin.GitHub:  {c.WriteToken, github.New(c.GitHubAPIURL, c.WriteToken.Reveal(), nil)},
		origin.GitLab:  {c.GitLabWriteToken, gitlab.New(c.GitLabAPIURL, c.GitLabWriteToken.Reveal(), nil)},
		origin.Gitea:   {c.GiteaWriteToken, gitea.New(c.GiteaURL, c.GiteaWriteToken.Reveal(), nil)},
		origin.Forgejo: {c.ForgejoWriteToken, gitea.New(c.ForgejoURL, c.ForgejoWriteToken.Reveal(), nil)},
	}
}

// rerunners are the providers that can be asked to run a failure again, by the name that their failures have.
func rerunners(c *config.Config) map[string]Rerunner {
	return map[string]Rerunner{webhook.Provider: github.New(c.GitHubAPIURL, c.WriteToken.Reveal(), nil)}
}

// remotes says how a repository is pushed to.
func remotes(writers map[string]Writer) func(origin.Place) gitrepo.Remote {
	return func(at origin.Place) gitrepo.Remote {
		return gitrepo.Remote{URL: at.GitURL, Username: at.User, Token: writers[at.Forge].Token.Reveal()}
	}
}
