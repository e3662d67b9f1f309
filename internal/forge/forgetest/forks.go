package forgetest

import (
	"fmt"
	"strings"
)

// Fork makes a fork of a repository that another owner has, by the same name and with all branches.
func (s *Server) Fork(owner, name, by string) (Repo, error) {
	made, err := s.CreateRepo(by, name, "main")
	if err != nil {
		return Repo{}, err
	}
	return made, s.withRepo(owner, name, func(re *repo) error {
		fork := s.repos[key(by, name)]
		fork.parent, fork.DefaultBranch = re, re.DefaultBranch
		_, err := s.gitIn(fork.dir, "fetch", "--quiet", "--no-tags", re.dir, "refs/heads/*:refs/heads/*")
		return err
	})
}

// headOwner takes a head apart: GitHub's is "owner:branch" for a fork's.
func headOwner(re *repo, head string) (owner, branch string) {
	owner, branch, ok := strings.Cut(head, ":")
	switch {
	case !ok:
		return "", head
	case strings.EqualFold(owner, re.Owner):
		return "", branch
	}
	return owner, branch
}

// owner is who has the head.
func (pr *PR) owner(re *repo) string {
	if pr.HeadOwner != "" {
		return pr.HeadOwner
	}
	return re.Owner
}

// source is the repository that has the head of a pull request: an owner's fork, or re itself for nobody's; nil when
// there is none. The caller holds the lock.
func (s *Server) source(re *repo, owner string) *repo {
	if owner == "" {
		return re
	}
	if fork := s.repos[key(owner, re.Name)]; fork != nil && fork.parent == re {
		return fork
	}
	return nil
}

// headOf is where a branch of an owner's fork is, or of re itself; its commits are in re afterwards.
func (s *Server) headOf(re *repo, owner, branch string) string {
	from := s.source(re, owner)
	if from == nil {
		return ""
	}
	head := s.branch(from, branch)
	if head == "" || from == re {
		return head
	}
	if _, err := s.gitIn(re.dir, "fetch", "--quiet", "--no-tags", from.dir, "refs/heads/"+branch); err != nil {
		s.opts.Logger.Error("forge: fetch from a fork", "error", err)
		return ""
	}
	return head
}

// OpenAs lets a person open a pull request; its head is "branch", or "owner:branch" for a fork's.
func (s *Server) OpenAs(login, owner, name string, pr PR) error {
	return s.withRepo(owner, name, func(re *repo) error {
		pr.HeadOwner, pr.Head = headOwner(re, pr.Head)
		if s.headOf(re, pr.HeadOwner, pr.Head) == "" || s.branch(re, pr.Base) == "" {
			return fmt.Errorf("open in %s/%s: a branch is missing", owner, name)
		}
		pr.Author = login
		s.add(re, &pr)
		return nil
	})
}

// CommentAs lets a person comment on a pull request.
func (s *Server) CommentAs(login, owner, name string, number int, body string) error {
	return s.withRepo(owner, name, func(re *repo) error {
		pr := issue(re, fmt.Sprint(number))
		if pr == nil {
			return fmt.Errorf("%s/%s has no pull request %d", owner, name, number)
		}
		s.say(re, pr, login, body)
		return nil
	})
}

// Allow says what a person may do in a repository: "none", "read", "write" or "admin".
func (s *Server) Allow(owner, name, login, permission string) error {
	return s.withRepo(owner, name, func(re *repo) error {
		if re.members == nil {
			re.members = map[string]string{}
		}
		re.members[login] = permission
		return nil
	})
}
