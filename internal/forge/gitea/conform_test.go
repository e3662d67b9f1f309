package gitea_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/giteatest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
	"github.com/sre-agent/sre-agent/internal/forge/gitea"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// driver is a server and the people who use it.
type driver struct{ *giteatest.Server }

func start(t *testing.T, f giteatest.Flavour) driver {
	t.Helper()
	s, err := giteatest.Start(f)
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

// Lacks: the servers open pull requests that have no commits. A missing head is known by asking for the branch.
func (driver) Lacks(f conform.Feature) bool { return f == conform.EmptyPulls }

func (d driver) Client(a conform.Access) conform.Client {
	return gitea.New(d.URL(), d.token(a), nil)
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
	return gitrepo.Remote{URL: d.URL() + "/" + owner + "/" + name + ".git", Username: "sre-agent", Token: d.token(a)}
}

// Secrets are what the client that speaks knows; another one's token is no secret to it.
func (driver) Secrets() []string { return []string{host.WriteToken} }

func (driver) Answer(conform.Kind) *forgetest.Fault { return nil }

// NewRepository has the label that the suite's lost calls put on a pull request, so that they are one write. The robot
// administers it, as only then it is told what others may do.
func (d driver) NewRepository(name string) (string, error) {
	if err := d.CreateRepository("acme", name); err != nil {
		return "", err
	}
	d.With("acme", name, func(re *host.Repo) {
		d.AddLabel(re, "safe")
		re.Members[host.Robot] = forge.AdminPermission
	})
	return "acme", nil
}

func (d driver) Seen(owner, name string) ([]conform.Seen, error) {
	seen, err := d.Host.Seen(owner, name, d.PullURL)
	for i := range seen {
		seen[i].Title, seen[i].Draft = giteatest.Draft(seen[i].Title)
	}
	return seen, err
}

func TestGiteaConforms(t *testing.T) {
	t.Parallel()
	conform.Run(t, func(t *testing.T) conform.Driver { return start(t, giteatest.Gitea) })
}

func TestForgejoConforms(t *testing.T) {
	t.Parallel()
	conform.Run(t, func(t *testing.T) conform.Driver { return start(t, giteatest.Forgejo) })
}
