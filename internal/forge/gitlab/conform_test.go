package gitlab_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/gitlabtest"
	"github.com/sre-agent/sre-agent/internal/forge/gitlab"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// driver is a server and the people who use it.
type driver struct{ *gitlabtest.Server }

func start(t *testing.T) driver {
	t.Helper()
	s, err := gitlabtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return driver{s}
}

// Lacks: GitLab opens merge requests that have no commits.
func (driver) Lacks(f conform.Feature) bool { return f == conform.EmptyPulls }

func (d driver) Client(a conform.Access) conform.Client {
	return gitlab.New(d.APIURL(), d.Token(a), nil)
}

func (d driver) Remote(a conform.Access, owner, name string) gitrepo.Remote {
	return gitrepo.Remote{URL: d.URL() + "/" + owner + "/" + name + ".git", Username: "oauth2", Token: d.Token(a)}
}

// NewRepository is in a group of a group.
func (d driver) NewRepository(name string) (string, error) {
	return "acme/tools", d.CreateRepository("acme/tools", name)
}

// Fork is in a group of a group, too.
func (d driver) Fork(owner, name, login string) (forkOwner, forkName string, err error) {
	return d.Host.Fork(owner, name, "people/"+login)
}

func (d driver) Seen(owner, name string) ([]conform.Seen, error) {
	seen, err := d.Host.Seen(owner, name, d.MergeRequestURL)
	for i := range seen {
		seen[i].Title, seen[i].Draft = gitlabtest.Draft(seen[i].Title)
	}
	return seen, err
}

func TestGitLabConforms(t *testing.T) {
	t.Parallel()
	conform.Run(t, func(t *testing.T) conform.Driver { return start(t) })
}
