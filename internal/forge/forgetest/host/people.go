package host

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
)

// Token is the token of an access. No host knows a stranger's.
func (h *Host) Token(a conform.Access) string {
	switch a {
	case conform.Writer:
		return WriteToken
	case conform.Reader:
		return ReadToken
	case conform.Stranger:
	}
	return "the-token-of-a-stranger"
}

// Secrets are what the client that speaks knows; another one's token is no secret to it.
func (h *Host) Secrets() []string { return []string{WriteToken} }

// on runs f under the lock on a repository that has to be there.
func (h *Host) on(owner, name string, f func(*Repo) error) (err error) {
	h.With(owner, name, func(re *Repo) {
		if re == nil {
			err = fmt.Errorf("there is no %s/%s", owner, name)
			return
		}
		err = f(re)
	})
	return err
}

func (h *Host) onPull(owner, name string, number int, f func(*Repo, *Pull) error) error {
	return h.on(owner, name, func(re *Repo) error {
		p := re.Pull(number)
		if p == nil {
			return fmt.Errorf("%s/%s has no pull request %d", owner, name, number)
		}
		return f(re, p)
	})
}

// Fork makes a fork of login's, with all branches.
func (h *Host) Fork(owner, name, login string) (forkOwner, forkName string, err error) {
	err = h.on(owner, name, func(re *Repo) error {
		h.meet(login)
		fork, err := h.create(login, re.Name)
		if err != nil {
			return err
		}
		fork.Parent = re
		_, err = fork.git("fetch", "--quiet", "--no-tags", re.dir, "refs/heads/*:refs/heads/*")
		return err
	})
	return login, name, err
}

// Open lets a person open a pull request.
func (h *Host) Open(owner, name, login string, pr forge.NewPullRequest) error {
	return h.on(owner, name, func(re *Repo) error {
		from := re
		if pr.HeadOwner != "" {
			from = h.FindFork(re, pr.HeadOwner)
		}
		if from == nil || from.Branch(pr.Head) == "" || re.Branch(pr.Base) == "" {
			return fmt.Errorf("open in %s/%s: a branch is missing", owner, name)
		}
		h.AddPull(re, Pull{Title: pr.Title, Body: pr.Body, Head: pr.Head, Base: pr.Base, From: from, Author: login})
		return nil
	})
}

// Comment lets a person comment.
func (h *Host) Comment(owner, name string, number int, login, body string) error {
	return h.onPull(owner, name, number, func(_ *Repo, p *Pull) error {
		h.AddComment(p, login, body)
		return nil
	})
}

// DeleteComments lets a person delete everything that somebody wrote.
func (h *Host) DeleteComments(owner, name string, number int, login string) error {
	return h.onPull(owner, name, number, func(_ *Repo, p *Pull) error {
		p.Comments = slices.DeleteFunc(p.Comments, func(c *Comment) bool { return c.Author == login })
		return nil
	})
}

// Close lets a person close an open pull request.
func (h *Host) Close(owner, name string, number int) error {
	return h.onPull(owner, name, number, func(_ *Repo, p *Pull) error {
		if !p.Open {
			return fmt.Errorf("pull request %d is not open", number)
		}
		p.Open = false
		return nil
	})
}

// Reopen lets a person open a closed pull request again; one that was merged stays closed.
func (h *Host) Reopen(owner, name string, number int) error {
	return h.onPull(owner, name, number, func(_ *Repo, p *Pull) error {
		if p.Open || p.Merged {
			return fmt.Errorf("pull request %d can't be opened again", number)
		}
		p.Open = true
		return nil
	})
}

// Merge lets a person merge an open pull request with a merge commit.
func (h *Host) Merge(owner, name string, number int) error {
	return h.onPull(owner, name, number, func(re *Repo, p *Pull) error {
		if !p.Open {
			return fmt.Errorf("pull request %d is not open", number)
		}
		return re.merge(p)
	})
}

// Label lets a person put a label on a pull request, which the repository has from then on.
func (h *Host) Label(owner, name string, number int, label string) error {
	return h.onPull(owner, name, number, func(re *Repo, p *Pull) error {
		if !slices.ContainsFunc(re.Labels, func(l Label) bool { return l.Name == label }) {
			h.AddLabel(re, label)
		}
		p.AddLabelTo(label)
		return nil
	})
}

// Revert lets a person take back what was merged last, by a commit on the base with that message, and returns that
// commit. The message has the merge commit in place of %s.
func (h *Host) Revert(owner, name string, number int, message string) (commit string, err error) {
	err = h.onPull(owner, name, number, func(re *Repo, p *Pull) error {
		if !p.Merged || re.Branch(p.Base) != p.MergeCommit {
			return fmt.Errorf("pull request %d is not what was merged last", number)
		}
		text := strings.ReplaceAll(message, "%s", p.MergeCommit)
		if commit, err = re.git("commit-tree", p.MergeCommit+"^1^{tree}", "-p", p.MergeCommit, "-m", text); err != nil {
			return err
		}
		_, err = re.git("update-ref", "refs/heads/"+p.Base, commit, p.MergeCommit)
		return err
	})
	return commit, err
}

// Archive makes a repository read-only.
func (h *Host) Archive(owner, name string) error {
	return h.on(owner, name, func(re *Repo) error {
		re.Archived = true
		return h.git.SetArchived(gitOwner(re.Owner), re.Name, true)
	})
}

// SetPermission says what a person may do.
func (h *Host) SetPermission(owner, name, login string, p forge.Permission) error {
	return h.on(owner, name, func(re *Repo) error {
		h.meet(login)
		re.Members[login] = p
		return nil
	})
}

// Report lets a CI say something about a commit. Only the latest word of each check counts.
func (h *Host) Report(owner, name, commit, check string, c forge.Checks) error {
	return h.on(owner, name, func(re *Repo) error {
		all := re.Statuses[commit]
		for i := range all {
			if all[i].Check == check {
				all[i].Says = c
				return nil
			}
		}
		re.Statuses[commit] = append(all, Status{check, c})
		return nil
	})
}

// Seen is what is there, the oldest pull request first. A draft's title is shown with the mark that makes it one.
func (h *Host) Seen(owner, name string, url func(*Repo, *Pull) string) (seen []conform.Seen, err error) {
	err = h.on(owner, name, func(re *Repo) error {
		for _, p := range re.Pulls {
			one := conform.Seen{PullRequest: p.public(url(re, p), re), Title: p.Title, Body: p.Body, Draft: p.Draft}
			for _, c := range p.Comments {
				one.Comments = append(one.Comments, forge.Comment{ID: fmt.Sprint(c.ID), Author: c.Author, Body: c.Body, At: c.At})
			}
			seen = append(seen, one)
		}
		return nil
	})
	return seen, err
}
