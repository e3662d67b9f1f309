package forgetest

import (
	"fmt"
	"slices"
	"strings"
)

// Label lets a person put a label on a pull request.
func (s *Server) Label(owner, name string, number int, label string) error {
	return s.withPull(owner, name, number, func(_ *repo, pr *PR) error {
		if !slices.Contains(pr.Labels, label) {
			pr.Labels = append(pr.Labels, label)
		}
		return nil
	})
}

// Unlabel lets a person take a label off a pull request.
func (s *Server) Unlabel(owner, name string, number int, label string) error {
	return s.withPull(owner, name, number, func(_ *repo, pr *PR) error {
		pr.Labels = slices.DeleteFunc(pr.Labels, func(l string) bool { return l == label })
		return nil
	})
}

// Revert lets a person take back what was merged last, by a commit on the base such as git revert makes, and returns that
// commit.
func (s *Server) Revert(owner, name string, number int) (commit string, err error) {
	err = s.withPull(owner, name, number, func(re *repo, pr *PR) error {
		if !pr.Merged {
			return fmt.Errorf("pull request %d of %s/%s is not merged", number, owner, name)
		}
		if s.branch(re, pr.Base) != pr.MergeCommit {
			return fmt.Errorf("the base of pull request %d has moved on since its merge", number)
		}
		message := fmt.Sprintf("Revert %q\n\nThis reverts commit %s, reversing\nchanges made to %s^1.", pr.Title, pr.MergeCommit, pr.MergeCommit)
		made, err := s.gitIn(re.dir, "commit-tree", pr.MergeCommit+"^1^{tree}", "-p", pr.MergeCommit, "-m", message)
		if err != nil {
			return fmt.Errorf("revert pull request %d: %w", number, err)
		}
		commit = strings.TrimSpace(string(made))
		_, err = s.gitIn(re.dir, "update-ref", "refs/heads/"+pr.Base, commit, pr.MergeCommit)
		return err
	})
	return commit, err
}

func (s *Server) withPull(owner, name string, number int, f func(*repo, *PR) error) error {
	return s.withRepo(owner, name, func(re *repo) error {
		pr := issue(re, fmt.Sprint(number))
		if pr == nil {
			return fmt.Errorf("no pull request %d in %s/%s", number, owner, name)
		}
		return f(re, pr)
	})
}
