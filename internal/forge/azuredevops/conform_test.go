package azuredevops_test

import (
	"encoding/base64"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge/azuredevops"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/azuretest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// driver is an organisation and the people who use it.
type driver struct{ *azuretest.Server }

// Lacks: Azure DevOps shows no hunks and opens pull requests without commits; its forks have names of their own, and
// the client does not open pull requests from them.
func (driver) Lacks(f conform.Feature) bool {
	return f == conform.Hunks || f == conform.EmptyPulls
}

func (d driver) Client(a conform.Access) conform.Client {
	return azuredevops.New(d.URL(), d.Token(a), nil)
}

func (d driver) Remote(a conform.Access, owner, name string) gitrepo.Remote {
	return gitrepo.Remote{URL: d.URL() + "/" + owner + "/_git/" + name, Username: "sre-agent", Token: d.Token(a)}
}

func (driver) Secrets() []string {
	return []string{host.WriteToken, base64.StdEncoding.EncodeToString([]byte(":" + host.WriteToken))}
}

func (d driver) NewRepository(name string) (string, error) {
	return "acme", d.CreateRepository("acme", name)
}

func (d driver) Seen(owner, name string) ([]conform.Seen, error) {
	return d.Host.Seen(owner, name, d.PullURL)
}

func TestAzureDevOpsConforms(t *testing.T) {
	t.Parallel()
	conform.Run(t, func(t *testing.T) conform.Driver {
		s, err := azuretest.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
		return driver{s}
	})
}
