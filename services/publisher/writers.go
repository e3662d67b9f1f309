package publisher

import (
	"context"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/forge/azuredevops"
	"github.com/sre-agent/sre-agent/internal/forge/bitbucket"
	"github.com/sre-agent/sre-agent/internal/forge/gitea"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/forge/gitlab"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/origin"
	webhook "github.com/sre-agent/sre-agent/internal/webhook/github"
)

// Writers are the forges that pull requests are opened on, one line each.
func Writers(c *config.Config) (map[string]Writer, error) {
	hub, err := hubWriter(c)
	if err != nil {
		return nil, err
	}
	return map[string]Writer{
		origin.GitHub:    hub,
		origin.Azure:     {Token: c.AzureDevOpsWriteToken, Forge: azuredevops.New(c.AzureDevOpsURL, c.AzureDevOpsWriteToken.Reveal(), nil)},
		origin.Bitbucket: {Token: c.BitbucketWriteToken, Forge: bitbucket.New(c.BitbucketAPIURL, c.BitbucketWriteToken.Reveal(), nil)},
		origin.GitLab:    {Token: c.GitLabWriteToken, Forge: gitlab.New(c.GitLabAPIURL, c.GitLabWriteToken.Reveal(), nil)},
		origin.Gitea:     {Token: c.GiteaWriteToken, Forge: gitea.New(c.GiteaURL, c.GiteaWriteToken.Reveal(), nil)},
		origin.Forgejo:   {Token: c.ForgejoWriteToken, Forge: gitea.New(c.ForgejoURL, c.ForgejoWriteToken.Reveal(), nil)},
	}, nil
}

// hubWriter is GitHub, by a token or as an App.
func hubWriter(c *config.Config) (Writer, error) {
	if !c.WritesAsApp() {
		return Writer{Token: c.WriteToken, Forge: github.New(c.GitHubAPIURL, c.WriteToken.Reveal(), nil)}, nil
	}
	app, err := hubApp(c, github.ToPublish(forkOwner(c)))
	if err != nil {
		return Writer{}, err
	}
	return Writer{Tokens: app, Forge: github.NewForApp(c.GitHubAPIURL, app, nil)}, nil
}

func hubApp(c *config.Config, rights github.Rights) (*github.App, error) {
	key, err := config.ParseAppKey(c.GitHubAppPrivateKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("GITHUB_APP_PRIVATE_KEY: %w", err)
	}
	return github.NewApp(c.GitHubAPIURL, c.GitHubAppID, key, rights, nil, nil), nil
}

// rerunners are the providers that can be asked to run a failure again, by the name that their failures have.
func rerunners(c *config.Config) (map[string]Rerunner, error) {
	if !c.WritesAsApp() {
		return map[string]Rerunner{webhook.Provider: github.New(c.GitHubAPIURL, c.WriteToken.Reveal(), nil)}, nil
	}
	app, err := hubApp(c, github.ToRerun)
	if err != nil {
		return nil, err
	}
	return map[string]Rerunner{webhook.Provider: github.NewForApp(c.GitHubAPIURL, app, nil)}, nil
}

// Remotes says how a repository is pushed to.
func Remotes(writers map[string]Writer) func(context.Context, origin.Place) (gitrepo.Remote, error) {
	return func(ctx context.Context, at origin.Place) (gitrepo.Remote, error) {
		token, err := writers[at.Forge].token(ctx, at)
		if err != nil {
			return gitrepo.Remote{}, err
		}
		return gitrepo.Remote{URL: at.GitURL, Username: at.User, Token: token}, nil
	}
}
