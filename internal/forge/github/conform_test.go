package github_test

import (
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
	"github.com/sre-agent/sre-agent/internal/forge/github"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// driver is a GitHub and the people who use it.
type driver struct{ *forgetest.Server }

func (driver) Lacks(conform.Feature) bool { return false }

func (d driver) Client(a conform.Access) conform.Client {
	return github.New(d.APIURL(), d.token(a), nil)
}

func (driver) token(a conform.Access) string {
	switch a {
	case conform.Writer:
		return token
	case conform.Reader:
		return "reader"
	case conform.Stranger:
	}
	return "the-token-of-a-stranger"
}

func (d driver) Remote(a conform.Access, owner, name string) gitrepo.Remote {
	return gitrepo.Remote{URL: d.URL() + "/" + owner + "/" + name + ".git", Token: d.token(a)}
}

func (driver) Secrets() []string { return []string{token} }

func (driver) Answer(conform.Kind) *forgetest.Fault { return nil }

func (d driver) NewRepository(name string) (string, error) {
	_, err := d.CreateRepo("acme", name, "main")
	return "acme", err
}

func (d driver) Seen(owner, name string) (out []conform.Seen, err error) {
	for _, pr := range d.PullRequests(owner, name) {
		one := conform.Seen{Title: pr.Title, Body: pr.Body, Draft: pr.Draft, PullRequest: forge.PullRequest{
			Number: pr.Number, URL: pr.URL, State: pr.State, Merged: pr.Merged, HeadRef: pr.Head, HeadSHA: pr.HeadSHA, BaseRef: pr.Base,
			FromFork: pr.HeadOwner != "", Author: pr.Author, Labels: pr.Labels, MergeCommit: pr.MergeCommit,
		}}
		for _, c := range pr.Comments {
			one.Comments = append(one.Comments, forge.Comment{Author: c.Author, Body: c.Body, At: c.Created})
		}
		out = append(out, one)
	}
	return out, nil
}

func (d driver) Fork(owner, name, login string) (forkOwner, forkName string, err error) {
	_, err = d.Server.Fork(owner, name, login)
	return login, name, err
}

func (d driver) Open(owner, name, login string, pr forge.NewPullRequest) error {
	head := pr.Head
	if pr.HeadOwner != "" {
		head = pr.HeadOwner + ":" + head
	}
	return d.OpenAs(login, owner, name, forgetest.PR{Title: pr.Title, Body: pr.Body, Head: head, Base: pr.Base})
}

func (d driver) Comment(owner, name string, number int, login, body string) error {
	return d.CommentAs(login, owner, name, number, body)
}

func (d driver) Close(owner, name string, number int) error {
	return d.ClosePullRequest(owner, name, number)
}

func (d driver) Reopen(owner, name string, number int) error {
	return d.ReopenPullRequest(owner, name, number)
}

func (d driver) Merge(owner, name string, number int) error {
	return d.MergePullRequest(owner, name, number)
}

func (d driver) Archive(owner, name string) error { return d.SetArchived(owner, name, true) }

func (d driver) SetPermission(owner, name, login string, p forge.Permission) error {
	word := map[forge.Permission]string{
		forge.NoPermission: "none", forge.ReadPermission: "read", forge.WritePermission: "write", forge.AdminPermission: "admin",
	}[p]
	return d.Allow(owner, name, login, word)
}

// Report has "test" as a status, and everything else as a check run.
func (d driver) Report(owner, name, commit, check string, c forge.Checks) error {
	outcome := map[forge.Checks]string{forge.ChecksGreen: "success", forge.ChecksRed: "failure"}[c]
	return d.Server.Report(owner, name, forgetest.Check{Commit: commit, Name: check, Legacy: check == "test", Outcome: outcome})
}

func TestGitHubConforms(t *testing.T) {
	t.Parallel()
	conform.Run(t, func(t *testing.T) conform.Driver {
		s, err := forgetest.Start(forgetest.Options{WriteTokens: []string{token}, ReadTokens: []string{"reader"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return driver{s}
	})
}
