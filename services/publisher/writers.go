package publisher

import (
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
	"github.com/sre-agent/sre-agent/internal/origin"
)

// writers are the forges that pull requests are opened on, one line each.
func writers(c *config.Config) map[string]Writer {
	return map[string]Writer{
		origin.GitHub: {c.WriteToken, github.New(c.GitHubAPIURL, c.WriteToken.Reveal(), nil)},
	}
}

// remotes says how a repository is pushed to.
func remotes(writers map[string]Writer) func(origin.Place) gitrepo.Remote {
	return func(at origin.Place) gitrepo.Remote {
		return gitrepo.Remote{URL: at.GitURL, Username: at.User, Token: writers[at.Forge].Token.Reveal()}
	}
}
