package conform

import (
	"context"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
)

// call is one of the contract's methods, with arguments that succeed on an openScene.
type call struct {
	name  string
	write bool
	needs []Feature
	do    func(context.Context, Client) error
}

// openScene is a scene whose pull request is open, with a comment of ours when there are comments.
func openScene(t *testing.T, d Driver) *openedScene {
	t.Helper()
	s := &openedScene{Scene: NewScene(t, d)}
	pr, err := d.Client(Writer).CreatePullRequest(t.Context(), s.Owner, s.Name, s.Fix())
	must(t, err)
	s.number = pr.Number
	s.Push(t, "second", "main", "b.txt", "b\n")
	if !d.Lacks(Comments) {
		c, err := d.Client(Writer).Comment(t.Context(), s.Owner, s.Name, s.number, "ours")
		must(t, err)
		s.comment = c.ID
	}
	return s
}

type openedScene struct {
	*Scene
	number  int
	comment string
}

// second is a pull request that is not there yet.
func (s *openedScene) second() forge.NewPullRequest {
	return forge.NewPullRequest{Title: "Second", Head: "second", Base: s.Base, Body: "b"}
}

// calls are all methods of the contract.
func calls(s *openedScene) []call {
	read := func(name string, do func(context.Context, Client) error, needs ...Feature) call {
		return call{name: name, needs: needs, do: do}
	}
	write := func(name string, do func(context.Context, Client) error, needs ...Feature) call {
		return call{name: name, write: true, needs: needs, do: do}
	}
	return []call{
		read("FindPullRequests", func(ctx context.Context, c Client) error {
			_, err := c.FindPullRequests(ctx, s.Owner, s.Name, s.Branch)
			return err
		}),
		read("PullRequest", func(ctx context.Context, c Client) error {
			_, err := c.PullRequest(ctx, s.Owner, s.Name, s.number)
			return err
		}, PullStates),
		read("OpenPullRequests", func(ctx context.Context, c Client) error {
			_, err := c.OpenPullRequests(ctx, s.Owner, s.Name)
			return err
		}, PullStates),
		read("ChangedFiles", func(ctx context.Context, c Client) error {
			_, err := c.ChangedFiles(ctx, s.Owner, s.Name, s.number)
			return err
		}, Files),
		read("Comments", func(ctx context.Context, c Client) error {
			_, err := c.Comments(ctx, s.Owner, s.Name, s.number)
			return err
		}, Comments),
		read("Permission", func(ctx context.Context, c Client) error {
			_, err := c.Permission(ctx, s.Owner, s.Name, "alice")
			return err
		}, Permissions),
		read("BranchHead", func(ctx context.Context, c Client) error {
			_, err := c.BranchHead(ctx, s.Owner, s.Name, s.Base)
			return err
		}),
		read("CommitChecks", func(ctx context.Context, c Client) error {
			_, err := c.CommitChecks(ctx, s.Owner, s.Name, s.BaseCommit)
			return err
		}, Checks),
		read("Repository", func(ctx context.Context, c Client) error {
			_, err := c.Repository(ctx, s.Owner, s.Name)
			return err
		}, API),
		write("CreatePullRequest", func(ctx context.Context, c Client) error {
			_, err := c.CreatePullRequest(ctx, s.Owner, s.Name, s.second())
			return err
		}),
		write("AddLabels", func(ctx context.Context, c Client) error {
			return c.AddLabels(ctx, s.Owner, s.Name, s.number, []string{"safe"})
		}, Labels),
		write("Comment", func(ctx context.Context, c Client) error {
			_, err := c.Comment(ctx, s.Owner, s.Name, s.number, "more")
			return err
		}, Comments),
		write("EditComment", func(ctx context.Context, c Client) error {
			return c.EditComment(ctx, s.Owner, s.Name, s.number, s.comment, "edited")
		}, Comments),
		write("ClosePullRequest", func(ctx context.Context, c Client) error {
			return c.ClosePullRequest(ctx, s.Owner, s.Name, s.number)
		}, PullStates),
	}
}

// testUnsupported wants forge.ErrUnsupported from each method whose feature the forge lacks.
func testUnsupported(t *testing.T, d Driver) {
	s := openScene(t, d)
	for _, c := range calls(s) {
		if lacksAny(d, c.needs) {
			Want{Is: forge.ErrUnsupported}.Check(t, d, c.name, c.do(t.Context(), d.Client(Writer)))
		}
	}
}
