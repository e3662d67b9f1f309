package config

// Reading is where the runner reads failed jobs' logs, and the code of repositories that are not on GitHub, with tokens
// that only read. A provider without a token is declined; GitHub's own variables are above.
type Reading struct {
	APIAllowedNetworks List `env:"API_ALLOWED_NETWORKS" for:"runner,all" check:"networks" example:"10.20.0.0/16,192.0.2.7" desc:"Networks that the runner may call APIs in though they are not public: loopback, private, link-local and the like are refused otherwise, at the moment of connecting, whatever name or redirect led there. Name the networks of servers of your own, and of a proxy."`

	GitLabGitURL         string `env:"GITLAB_GIT_URL" envDefault:"https://gitlab.com" for:"runner,publisher,all,operator" url:"https,http" desc:"Base of GitLab's clone URLs. GITLAB_READ_TOKEN is sent here and to GITLAB_API_URL."`
	GitLabReadToken      Secret `env:"GITLAB_READ_TOKEN" for:"runner,all" example:"glpat-..." desc:"Token that reads jobs' logs and code: scopes read_api and read_repository."`
	CircleCIURL          string `env:"CIRCLECI_URL" envDefault:"https://circleci.com" for:"runner,all" url:"https,http" desc:"Address of CircleCI, or of a server of your own."`
	CircleCIReadToken    Secret `env:"CIRCLECI_READ_TOKEN" for:"runner,all" example:"CCIPAT_..." desc:"Personal API token that reads jobs and their steps' output."`
	JenkinsURL           string `env:"JENKINS_URL" for:"runner,all" url:"https,http" example:"https://jenkins.example.com" desc:"Address of Jenkins, as its own settings have it."`
	JenkinsReadToken     Secret `env:"JENKINS_READ_TOKEN" for:"runner,all" example:"sre-agent:11e0..." desc:"User and API token, with a colon between them, of an account that reads jobs."`
	AzureDevOpsURL       string `env:"AZURE_DEVOPS_URL" for:"runner,publisher,all,operator" url:"https,http" example:"https://dev.azure.com/acme" desc:"Address of the organisation in Azure DevOps, or of a collection of a server of your own."`
	AzureDevOpsReadToken Secret `env:"AZURE_DEVOPS_READ_TOKEN" for:"runner,all" example:"the-token" desc:"Personal access token that reads builds, and code if that is in Azure Repos: scopes Build (read) and Code (read)."`
	BuildkiteAPIURL      string `env:"BUILDKITE_API_URL" envDefault:"https://api.buildkite.com" for:"runner,all" url:"https,http" desc:"Base of Buildkite's REST API."`
	BuildkiteReadToken   Secret `env:"BUILDKITE_READ_TOKEN" for:"runner,all" example:"bkua_..." desc:"API access token that reads builds and logs: scopes read_builds and read_build_logs."`
	GiteaURL             string `env:"GITEA_URL" for:"runner,publisher,all,operator" url:"https,http" example:"https://gitea.example.com" desc:"Address of Gitea, for its REST API and its clone URLs."`
	GiteaReadToken       Secret `env:"GITEA_READ_TOKEN" for:"runner,all" example:"the-token" desc:"Token that reads Actions' logs and code: permission repository, read."`
	ForgejoURL           string `env:"FORGEJO_URL" for:"runner,publisher,all,operator" url:"https,http" example:"https://forgejo.example.com" desc:"Address of Forgejo, for its REST API and its clone URLs."`
	ForgejoReadToken     Secret `env:"FORGEJO_READ_TOKEN" for:"runner,all" example:"the-token" desc:"Token that reads Actions' logs and code: permission repository, read."`
	BitbucketGitURL      string `env:"BITBUCKET_GIT_URL" envDefault:"https://bitbucket.org" for:"runner,publisher,all,operator" url:"https,http" desc:"Base of Bitbucket Cloud's clone URLs."`
	BitbucketReadToken   Secret `env:"BITBUCKET_READ_TOKEN" for:"runner,all" example:"ATCTT3..." desc:"Repository, project or workspace access token that reads code, for repositories whose CI is another provider."`
}

// Reader is where one provider is read, by the names of its variables.
type Reader struct {
	Provider     string
	URLName, URL string
	Token        Secret
}

// TokenName is the variable of the token.
func (r Reader) TokenName() string { return ReadTokenName(r.Provider) }

// ReadTokenName is the variable of the token that reads a provider or a forge.
func ReadTokenName(provider string) string { return WebhookPrefix(provider) + "_READ_TOKEN" }

// Readers lists the providers other than GitHub that can be read.
func (r Reading) Readers(gitLabAPIURL string) []Reader {
	return []Reader{
		{Provider: "gitlab", URLName: "GITLAB_API_URL", URL: gitLabAPIURL, Token: r.GitLabReadToken},
		{Provider: "circleci", URLName: "CIRCLECI_URL", URL: r.CircleCIURL, Token: r.CircleCIReadToken},
		{Provider: "jenkins", URLName: "JENKINS_URL", URL: r.JenkinsURL, Token: r.JenkinsReadToken},
		{Provider: "azure-devops", URLName: "AZURE_DEVOPS_URL", URL: r.AzureDevOpsURL, Token: r.AzureDevOpsReadToken},
		{Provider: "buildkite", URLName: "BUILDKITE_API_URL", URL: r.BuildkiteAPIURL, Token: r.BuildkiteReadToken},
		{Provider: "gitea", URLName: "GITEA_URL", URL: r.GiteaURL, Token: r.GiteaReadToken},
		{Provider: "forgejo", URLName: "FORGEJO_URL", URL: r.ForgejoURL, Token: r.ForgejoReadToken},
	}
}

// readAddresses are the addresses that these tokens are sent to.
func (c *Config) readAddresses() map[string]string {
	addresses := map[string]string{"GITLAB_GIT_URL": c.GitLabGitURL, "BITBUCKET_GIT_URL": c.BitbucketGitURL, "PLAIN_GIT_URL": c.PlainGitURL, "BITBUCKET_API_URL": c.BitbucketAPIURL}
	for _, r := range c.Readers(c.GitLabAPIURL) {
		addresses[r.URLName] = r.URL
	}
	return addresses
}

// checkReading wants with each token the address that it is for.
func (l *loader) checkReading() {
	for _, r := range l.cfg.Readers(l.cfg.GitLabAPIURL) {
		if r.Token.IsSet() && r.URL == "" {
			l.wrong(r.URLName, "is not set, but "+r.TokenName()+" is", "the address that the token is for")
		}
	}
}
