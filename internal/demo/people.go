package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/webhook/github/githubtest"
)

// Person may write to the scene's repository.
const Person = actor

// AnotherCommit pushes a commit that mends nothing, runs the check on it, and returns the signed webhook about its failed run.
func (s *Scene) AnotherCommit(ctx context.Context, base string) (*http.Request, error) {
	s.more++
	tree := filepath.Join(s.dir, "tree")
	for _, args := range [][]string{
		{"commit", "--quiet", "--allow-empty", "--message", fmt.Sprintf("Think about greetings, part %d", s.more)},
		{"push", "--quiet", s.Repo.CloneURL, "HEAD:refs/heads/" + Branch},
	} {
		if _, err := s.git.run(ctx, tree, s.writeToken, args...); err != nil {
			return nil, err
		}
	}
	commit, err := s.git.run(ctx, tree, "", "rev-parse", "HEAD")
	if err != nil {
		return nil, err
	}
	res, err := s.check(ctx, Branch)
	if err != nil {
		return nil, err
	}
	if res.Green() {
		return nil, errors.New("the check of the new commit is green; it is meant to be red")
	}
	p := s.params()
	p.SHA, p.RunID = commit, RunID+int64(100*s.more)
	if err := s.addJob(p.RunID, actionsLog(res)); err != nil {
		return nil, err
	}
	return s.request(base, "workflow_run", "demo-again-"+random()[:8], githubtest.FailedRun(p)), nil
}

// ClosedByPerson has the person close a pull request, and returns the signed webhook about that.
func (s *Scene) ClosedByPerson(base string, pr forgetest.PR) (*http.Request, error) {
	if err := s.Forge.ClosePullRequest(Owner, Name, pr.Number); err != nil {
		return nil, err
	}
	return s.request(base, "pull_request", "demo-closed-"+random()[:8], githubtest.PullRequestClosed(s.params(), pr.Number, pr.Head)), nil
}

// CommentByPerson has the person comment on a pull request, and returns the signed webhook about that.
func (s *Scene) CommentByPerson(base string, pr forgetest.PR, body string) (*http.Request, error) {
	if err := s.Forge.CommentAs(Person, Owner, Name, pr.Number, body); err != nil {
		return nil, err
	}
	return s.request(base, "issue_comment", "demo-comment-"+random()[:8], githubtest.Commented(s.params(), pr.Number, body)), nil
}
