package forgetest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// PR is a pull request as the forge has it.
type PR struct {
	Number                  int
	Title, Body, Head, Base string
	HeadSHA                 string
	// HeadOwner owns the fork that has the head; empty: the head is in the repository itself.
	HeadOwner string
	Author    string
	// BaseSHA is the commit that the diff starts from.
	BaseSHA string
	State   string // "open" or "closed"
	Merged  bool
	// MergeCommit is on the base when it is merged.
	MergeCommit string
	Draft       bool
	Labels      []string
	// Comments are the oldest first.
	Comments []Comment
	URL      string
	Created  time.Time
	Ended    time.Time
}

// PullRequests lists a repository's pull requests in every state, oldest first.
func (s *Server) PullRequests(owner, name string) []PR {
	var out []PR
	_ = s.withRepo(owner, name, func(re *repo) error {
		for _, pr := range re.prs {
			seen := *pr
			seen.Labels, seen.Comments = slices.Clone(pr.Labels), slices.Clone(pr.Comments)
			out = append(out, seen)
		}
		return nil
	})
	return out
}

// ClosePullRequest closes an open pull request without merging it.
func (s *Server) ClosePullRequest(owner, name string, number int) error {
	return s.withOpen(owner, name, number, func(_ *repo, pr *PR) error {
		s.end(pr)
		return nil
	})
}

// ReopenPullRequest opens a closed pull request again; one that was merged stays closed.
func (s *Server) ReopenPullRequest(owner, name string, number int) error {
	return s.withRepo(owner, name, func(re *repo) error {
		if number < 1 || number > len(re.prs) || re.prs[number-1].State == "open" || re.prs[number-1].Merged {
			return fmt.Errorf("no closed pull request %d in %s/%s", number, owner, name)
		}
		pr := re.prs[number-1]
		pr.State, pr.Ended = "open", time.Time{}
		return nil
	})
}

// MergePullRequest merges an open pull request with a merge commit.
func (s *Server) MergePullRequest(owner, name string, number int) error {
	return s.withOpen(owner, name, number, func(re *repo, pr *PR) error {
		base := s.branch(re, pr.Base)
		tree, err := s.gitIn(re.dir, "merge-tree", "--write-tree", base, pr.HeadSHA)
		if err != nil {
			return fmt.Errorf("merge pull request %d: %w", number, err)
		}
		message := fmt.Sprintf("Merge pull request #%d from %s/%s", number, re.Owner, pr.Head)
		commit, err := s.gitIn(re.dir, "commit-tree", strings.TrimSpace(string(tree)), "-p", base, "-p", pr.HeadSHA, "-m", message)
		if err != nil {
			return fmt.Errorf("merge pull request %d: %w", number, err)
		}
		if _, err := s.gitIn(re.dir, "update-ref", "refs/heads/"+pr.Base, strings.TrimSpace(string(commit)), base); err != nil {
			return fmt.Errorf("merge pull request %d: %w", number, err)
		}
		s.end(pr)
		pr.Merged, pr.MergeCommit = true, strings.TrimSpace(string(commit))
		return nil
	})
}

func (s *Server) withOpen(owner, name string, number int, f func(*repo, *PR) error) error {
	return s.withRepo(owner, name, func(re *repo) error {
		if number < 1 || number > len(re.prs) || re.prs[number-1].State != "open" {
			return fmt.Errorf("no open pull request %d in %s/%s", number, owner, name)
		}
		return f(re, re.prs[number-1])
	})
}

func (s *Server) end(pr *PR) {
	pr.State = "closed"
	pr.Ended = s.opts.Now()
}

// sync lets open pull requests follow their branches; one whose branch is gone is closed, as on GitHub.
func (s *Server) sync(re *repo) {
	for _, pr := range re.prs {
		if pr.State != "open" {
			continue
		}
		head := s.headOf(re, pr.HeadOwner, pr.Head)
		if head == "" {
			s.end(pr)
			continue
		}
		if head != pr.HeadSHA {
			s.follow(re, pr, head)
		}
	}
}

// follow moves a pull request to a commit and keeps that commit alive, whatever happens to the branch.
func (s *Server) follow(re *repo, pr *PR, head string) {
	pr.HeadSHA = head
	if _, err := s.gitIn(re.dir, "update-ref", fmt.Sprintf("refs/pull/%d/head", pr.Number), head); err != nil {
		s.opts.Logger.Error("forge: keep the head of a pull request", "error", err)
	}
	if base := s.branch(re, pr.Base); base != "" {
		if common := s.mergeBase(re, base, head); common != "" {
			pr.BaseSHA = common
		}
	}
}

// mergeBase is where two commits parted, or "" when they have nothing in common.
func (s *Server) mergeBase(re *repo, base, head string) string {
	asked := [2]string{base, head}
	if common, known := re.common[asked]; known {
		return common
	}
	out, err := s.gitIn(re.dir, "merge-base", base, head)
	if err != nil {
		return ""
	}
	re.common[asked] = strings.TrimSpace(string(out))
	return re.common[asked]
}
