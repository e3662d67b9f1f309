package azuredevops

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/sre-agent/sre-agent/internal/webhook/payload"
)

// locate finds the repository: its own id and address for Azure Repos, its address for one on another forge.
func (s *source) locate(n notification) (reason string) {
	r := n.Resource.Repository
	if r == nil || r.URL == "" {
		if strings.HasPrefix(n.Resource.SourceGetVersion, "C") { // a changeset of TFVC
			return IgnoredNotGit
		}
		return IgnoredNoRepository
	}
	switch strings.ToLower(r.Type) {
	case "tfsgit":
		var ok bool
		if s.address, ok = azureRepos(n); !ok {
			return IgnoredNoRepository
		}
		s.id = r.ID
	case "": // other events name a repository by an address of the REST API
		return IgnoredNoRepository
	case "tfsversioncontrol", "svn":
		return IgnoredNotGit
	default: // GitHub, GitHubEnterprise, Bitbucket, Git
		var ok bool
		if s.address, ok = payload.ParseGitAddress(r.URL); !ok {
			return IgnoredNoRepository
		}
		s.id = s.address.ID()
	}
	return ""
}

// azureRepos reads "https://dev.azure.com/organisation/project/_git/repository" (or a collection of a server of one's
// own). Names of projects and repositories may have blanks and letters of any script; their ids, which Azure Repos
// takes in addresses too, stand in for those.
func azureRepos(n notification) (payload.GitAddress, bool) {
	r := n.Resource.Repository
	u, err := url.Parse(r.URL)
	if err != nil || u.RawQuery != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return payload.GitAddress{}, false
	}
	before, name, ok := strings.Cut(strings.Trim(u.Path, "/"), "/_git/")
	if !ok || strings.Contains(name, "/") {
		return payload.GitAddress{}, false
	}
	parts := strings.Split(before, "/")
	last := len(parts) - 1
	if !payload.IsRepositoryPart(parts[last]) {
		parts[last] = payload.FirstOf(n.Resource.Project.ID, n.Containers.Project.ID)
	}
	if !payload.IsRepositoryPart(name) {
		name = r.ID
	}
	a, ok := payload.ParseGitAddress(u.Scheme + "://" + u.Host + "/" + strings.Join(parts, "/") + "/" + name + ".git")
	return a, ok
}

// webURL and cloneURL differ for Azure Repos, whose addresses have "_git" before the repository and no ".git" after it.
func (s *source) webURL(r repository) string {
	if !strings.EqualFold(r.Type, "TfsGit") {
		return s.address.WebURL()
	}
	return strings.TrimSuffix(s.address.WebURL(), s.address.Name) + "_git/" + s.address.Name
}

func (s *source) cloneURL(r repository) string {
	if !strings.EqualFold(r.Type, "TfsGit") {
		return s.address.CloneURL()
	}
	return s.webURL(r)
}

// Repository returns the owner and name of the repository that a body speaks of, and empty strings for none.
func Repository(body payload.Object) (owner, name string) {
	var n notification
	value := body.Member("resource")
	var r struct {
		Repository *repository `json:"repository"`
		Project    project     `json:"project"`
	}
	if value == nil || json.Unmarshal(value, &r) != nil {
		return "", ""
	}
	if containers := body.Member("resourceContainers"); containers != nil && json.Unmarshal(containers, &n.Containers) != nil {
		return "", ""
	}
	n.Resource = &resource{Repository: r.Repository, Project: r.Project}
	var s source
	if s.locate(n) != "" {
		return "", ""
	}
	return s.address.Owner, s.address.Name
}
