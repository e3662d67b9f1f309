package host

import (
	"fmt"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest/conform"
)

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
