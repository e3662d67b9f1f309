package bitbucket_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/bitbucket"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/bitbuckettest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/host"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// driver is a server and the people who use it.
type driver struct{ *bitbuckettest.Server }

// Lacks: Bitbucket Cloud has none of these.
func (driver) Lacks(f conform.Feature) bool {
	return f == conform.Labels || f == conform.Hunks || f == conform.Conflicts || f == conform.Archives
}

func (d driver) Client(a conform.Access) conform.Client {
	return named{bitbucket.New(d.APIURL(), d.token(a), nil)}
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
	return gitrepo.Remote{URL: d.URL() + "/" + owner + "/" + name + ".git", Username: "x-token-auth", Token: d.token(a)}
}

func (driver) Secrets() []string { return []string{host.WriteToken} }

func (driver) Answer(conform.Kind) *forgetest.Fault { return nil }

// NewRepository has the robot administer it, as only then it is told what others may do.
func (d driver) NewRepository(name string) (string, error) {
	if err := d.CreateRepository("acme", name); err != nil {
		return "", err
	}
	d.With("acme", name, func(re *host.Repo) { re.Members[host.Robot] = forge.AdminPermission })
	return "acme", nil
}

func (d driver) Seen(owner, name string) ([]conform.Seen, error) {
	return d.Host.Seen(owner, name, d.PullURL)
}

// named calls people what the suite calls them: the client names them by their accounts' UUIDs.
type named struct{ *bitbucket.Client }

func login(uuid string) string { return strings.Trim(uuid, "{}") }

func (n named) CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error) {
	made, err := n.Client.CreatePullRequest(ctx, owner, name, pr)
	made.Author = login(made.Author)
	return made, err
}

func (n named) OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error) {
	open, err := n.Client.OpenPullRequests(ctx, owner, name)
	for i := range open {
		open[i].Author = login(open[i].Author)
	}
	return open, err
}

func (n named) Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error) {
	all, err := n.Client.Comments(ctx, owner, name, number)
	for i := range all {
		all[i].Author = login(all[i].Author)
	}
	return all, err
}

func (n named) Permission(ctx context.Context, owner, name, who string) (forge.Permission, error) {
	return n.Client.Permission(ctx, owner, name, bitbuckettest.UUID(who))
}

func TestBitbucketConforms(t *testing.T) {
	t.Parallel()
	conform.Run(t, func(t *testing.T) conform.Driver {
		s, err := bitbuckettest.Start()
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
