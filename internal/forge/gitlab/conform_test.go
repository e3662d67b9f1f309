package gitlab_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/gitlabtest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
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
	return gitlab.New(d.APIURL(), d.token(a), nil)
}

func (driver) token(a conform.Access) string {
	switch a {
	case conform.Writer:
		return host.WriteToken
	case conform.Reader:
		return host.ReadToken
	case conform.Stranger:
	}
	return "the-token-of-a-stranger"
}

func (d driver) Remote(a conform.Access, owner, name string) gitrepo.Remote {
	return gitrepo.Remote{URL: d.URL() + "/" + owner + "/" + name + ".git", Username: "oauth2", Token: d.token(a)}
}

// Secrets are what the client that speaks knows; another one's token is no secret to it.
func (driver) Secrets() []string { return []string{host.WriteToken} }

func (driver) Answer(conform.Kind) *forgetest.Fault { return nil }

// NewRepository is in a group of a group.
func (d driver) NewRepository(name string) (string, error) {
	return "acme/tools", d.CreateRepository("acme/tools", name)
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
