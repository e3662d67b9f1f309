package host

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sre-agent/sre-agent/internal/forge"
)

// Pull is a pull request, with the title as the forge has it. HeadSHA follows the branch while it is open.
type Pull struct {
	Number      int
	Title, Body string
	Head, Base  string
	From        *Repo
	HeadSHA     string
	Author      string
	Open        bool
	Draft       bool // where a forge has a field for it
	Merged      bool
	MergeCommit string
	Labels      []string
	Comments    []*Comment
	Created     time.Time

	base string // where its diff starts
}

// Comment is a comment on a pull request.
type Comment struct {
	ID     int64
	Author string
	Body   string
	At     time.Time
}

// Pull is a pull request by its number, or nil.
func (re *Repo) Pull(number int) *Pull {
	if number < 1 || number > len(re.Pulls) {
		return nil
	}
	return re.Pulls[number-1]
}

// OpenPull is the open pull request from a branch to another, or nil.
func (re *Repo) OpenPull(from *Repo, head, base string) *Pull {
	for _, p := range re.Pulls {
		if p.Open && p.From == from && p.Head == head && p.Base == base {
			return p
		}
	}
	return nil
}

// AddPull opens a pull request whose branches are there. The caller holds the lock.
func (h *Host) AddPull(re *Repo, p Pull) *Pull {
	h.meet(p.Author)
	p.Number, p.Open, p.Created = len(re.Pulls)+1, true, h.tick()
	re.Pulls = append(re.Pulls, &p)
	h.sync(re)
	return &p
}

// AddComment writes a comment. The caller holds the lock.
func (h *Host) AddComment(p *Pull, author, body string) *Comment {
	h.meet(author)
	c := &Comment{ID: h.id(), Author: author, Body: body, At: h.tick()}
	p.Comments = append(p.Comments, c)
	return c
}

// AddLabelTo puts a label on a pull request, once.
func (p *Pull) AddLabelTo(name string) {
	if !slices.Contains(p.Labels, name) {
		p.Labels = append(p.Labels, name)
	}
}

// Conflicts says that a pull request can't be merged as it is.
func (re *Repo) Conflicts(p *Pull) bool {
	base := re.Branch(p.Base)
	if base == "" {
		return false
	}
	_, err := re.git("merge-tree", "--write-tree", base, p.HeadSHA)
	return err != nil
}

// sync lets open pull requests follow their branches. Their commits are kept whatever happens to those.
func (h *Host) sync(re *Repo) {
	for _, p := range re.Pulls {
		if !p.Open {
			continue
		}
		if head := p.From.Branch(p.Head); head != "" && head != p.HeadSHA {
			ref := "refs/pull/" + strconv.Itoa(p.Number) + "/head"
			if _, err := re.git("fetch", "--quiet", "--no-tags", p.From.dir, "+refs/heads/"+p.Head+":"+ref); err == nil {
				p.HeadSHA = head
			}
		}
		if base := re.Branch(p.Base); base != "" {
			if at, err := re.git("merge-base", base, p.HeadSHA); err == nil {
				p.base = at
			}
		}
	}
}

// merge makes a merge commit on the base.
func (re *Repo) merge(p *Pull) error {
	base := re.Branch(p.Base)
	tree, err := re.git("merge-tree", "--write-tree", base, p.HeadSHA)
	if err != nil {
		return fmt.Errorf("merge pull request %d: %w", p.Number, err)
	}
	commit, err := re.git("commit-tree", tree, "-p", base, "-p", p.HeadSHA, "-m", "Merge "+p.Head)
	if err != nil {
		return fmt.Errorf("merge pull request %d: %w", p.Number, err)
	}
	if _, err := re.git("update-ref", "refs/heads/"+p.Base, commit, base); err != nil {
		return fmt.Errorf("merge pull request %d: %w", p.Number, err)
	}
	p.Open, p.Merged, p.MergeCommit = false, true, commit
	return nil
}

// public is a pull request as the publisher may see it.
func (p *Pull) public(url string, re *Repo) forge.PullRequest {
	out := forge.PullRequest{
		Number: p.Number, URL: url, State: forge.Closed, Merged: p.Merged, HeadRef: p.Head, HeadSHA: p.HeadSHA, BaseRef: p.Base,
		FromFork: p.From != re, Author: p.Author, Labels: slices.Clone(p.Labels), MergeCommit: p.MergeCommit,
	}
	if p.Open {
		out.State = forge.Open
	}
	return out
}
