// Package origin says which forge a failure's repository is on, and where its code is there.
//
// It promises that an address is made from a configured base and a repository's names alone: what a webhook calls an
// address only says which of the configured forges it is. It is pure and knows no token; each program adds its own.
package origin

import (
	"net/url"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
)

// The forges, by the names that their webhooks' providers have too.
const (
	GitHub    = "github"
	GitLab    = "gitlab"
	Gitea     = "gitea"
	Forgejo   = "forgejo"
	Bitbucket = "bitbucket"
	Azure     = "azure-devops"
	// PlainGit is a git server that is no forge.
	PlainGit = "plain-git"
)

// Forge is one that is configured.
type Forge struct {
	Name string
	// Base is what its clone addresses begin with. For Azure Repos it is the organisation: base/project/_git/name.
	Base string
	// User is the user name that it documents for tokens; empty is git's usual one.
	User string
}

// Place is where a repository is.
type Place struct {
	Forge string
	// Base is the forge's address, for people.
	Base string
	// Owner and Name are the repository's names at that forge.
	Owner, Name string
	// GitURL and User are its clone address and the user name that goes with a token.
	GitURL, User string
}

// Forges are the forges of a configuration.
func Forges(c *config.Config) []Forge {
	return []Forge{
		{Name: GitHub, Base: c.GitHubGitURL},
		{Name: GitLab, Base: c.GitLabGitURL, User: "oauth2"},
		{Name: Gitea, Base: c.GiteaURL, User: "sre-agent"},
		{Name: Forgejo, Base: c.ForgejoURL, User: "sre-agent"},
		{Name: Bitbucket, Base: c.BitbucketGitURL, User: "x-token-auth"},
		{Name: Azure, Base: c.AzureDevOpsURL, User: "sre-agent"},
		{Name: PlainGit, Base: c.PlainGitURL, User: c.PlainGitUser},
	}
}

// Find returns where the repository of a failure is, or the permanent error "no_forge".
func Find(forges []Forge, f ci.Failure) (Place, error) {
	for _, at := range forges {
		if owner, name, ok := at.holds(f); ok {
			return at.Place(owner, name), nil
		}
	}
	return Place{}, fault.Permf("no_forge", "the code is on none of the forges that are configured: %s", f.Repository.WebURL)
}

// holds says whether a repository is on this forge, and by which names. A forge's own webhooks are about itself; what
// other providers' are about, their clone address tells.
func (g Forge) holds(f ci.Failure) (owner, name string, ok bool) {
	if g.Base == "" {
		return "", "", false
	}
	if g.Name == f.Provider && g.Name != Azure {
		return f.Repository.Owner, f.Repository.Name, true
	}
	base, err := url.Parse(strings.TrimRight(g.Base, "/"))
	at, cerr := url.Parse(f.Repository.CloneURL)
	if err != nil || cerr != nil || !strings.EqualFold(base.Host, at.Host) {
		return "", "", false
	}
	path, ok := strings.CutPrefix(at.Path, base.Path+"/")
	if g.Name == Azure {
		project, repository, isRepo := strings.Cut(path, "/_git/")
		return project, repository, ok && isRepo && !strings.Contains(project, "/")
	}
	cut := strings.LastIndexByte(path, '/')
	if !ok || cut < 1 {
		return "", "", false
	}
	return path[:cut], strings.TrimSuffix(path[cut+1:], ".git"), true
}

// Place is where a repository is by its names at this forge.
func (g Forge) Place(owner, name string) Place {
	return Place{Forge: g.Name, Base: g.Base, Owner: owner, Name: name, GitURL: g.address(owner, name), User: g.User}
}

func (g Forge) address(owner, name string) string {
	base := strings.TrimRight(g.Base, "/")
	if g.Name == Azure {
		return base + "/" + owner + "/_git/" + name
	}
	return base + "/" + owner + "/" + name + ".git"
}
