package config

// WritingAzure is where the publisher opens pull requests on Bitbucket Cloud and in Azure Repos. Without a token there
// are none.
type WritingAzure struct {
	BitbucketAPIURL       string `env:"BITBUCKET_API_URL" envDefault:"https://api.bitbucket.org/2.0" for:"publisher,all" url:"https,http" desc:"Root of Bitbucket Cloud's REST API."`
	BitbucketWriteToken   Secret `env:"BITBUCKET_WRITE_TOKEN" for:"publisher,all" example:"ATCTT3..." desc:"Repository or workspace access token that pushes and opens pull requests: scopes repository:write and pullrequest:write. Only the publisher has it."`
	AzureDevOpsWriteToken Secret `env:"AZURE_DEVOPS_WRITE_TOKEN" for:"publisher,all" example:"the-token" desc:"Personal access token that pushes and opens pull requests in AZURE_DEVOPS_URL: scopes Code (read & write) and Identity (read). Only the publisher has it."`
	PlainGitPatchDir      string `env:"PLAIN_GIT_PATCH_DIR" for:"publisher,all" example:"/var/lib/sre-agent/patches" desc:"Folder for the patches of repositories that are on no forge."`
}
