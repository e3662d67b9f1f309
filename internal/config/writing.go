package config

// Writing is what the publisher opens pull requests with on forges other than GitHub. Without its token a forge's runs
// end with a reason that names the variable.
type Writing struct {
	GitLabWriteToken      Secret `env:"GITLAB_WRITE_TOKEN" for:"publisher,all" example:"glpat-..." desc:"Token that pushes branches and opens merge requests on GitLab: scopes api and write_repository. Only the publisher has it."`
	GiteaWriteToken       Secret `env:"GITEA_WRITE_TOKEN" for:"publisher,all" example:"the-token" desc:"Token that pushes branches and opens pull requests on Gitea: permissions repository and issue, write."`
	ForgejoWriteToken     Secret `env:"FORGEJO_WRITE_TOKEN" for:"publisher,all" example:"the-token" desc:"Token that pushes branches and opens pull requests on Forgejo: permissions repository and issue, write."`
	BitbucketAPIURL       string `env:"BITBUCKET_API_URL" envDefault:"https://api.bitbucket.org/2.0" for:"publisher,all,operator" url:"https,http" desc:"Root of Bitbucket Cloud's REST API."`
	BitbucketWriteToken   Secret `env:"BITBUCKET_WRITE_TOKEN" for:"publisher,all" example:"ATCTT3..." desc:"Repository or workspace access token that pushes and opens pull requests: scopes repository:write and pullrequest:write. Only the publisher has it."`
	AzureDevOpsWriteToken Secret `env:"AZURE_DEVOPS_WRITE_TOKEN" for:"publisher,all" example:"the-token" desc:"Personal access token that pushes and opens pull requests in AZURE_DEVOPS_URL: scopes Code (read & write) and Identity (read). Only the publisher has it."`
}

// WriteTokenName is the variable of the token that writes to a forge.
func WriteTokenName(forge string) string { return WebhookPrefix(forge) + "_WRITE_TOKEN" }
