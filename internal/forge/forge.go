// Package forge holds what the publisher and a forge's client say to each other.
//
// It talks to nobody: internal/forge/<forge> does. Only the publisher may import it. Owner and name are
// always a repository's names at that forge.
package forge

import (
	"errors"
	"strings"
	"time"
)

var (
	// ErrExists says that an open pull request for the same head and base is already there.
	ErrExists = errors.New("a pull request already exists")
	// ErrNoBranch says that the repository is there and the branch is not.
	ErrNoBranch = errors.New("no such branch")
	// ErrNoPullRequest says that the repository is there and the pull request is not.
	ErrNoPullRequest = errors.New("no such pull request")
	// ErrUnsupported says that this forge has no such thing, as plain git has no comments.
	ErrUnsupported = errors.New("this forge has no such thing")
)

// States of a pull request.
const (
	Open   = "open"
	Closed = "closed"
)

// PullRequest is a pull request as the forge has it.
type PullRequest struct {
	Number   int
	URL      string
	State    string // Open or Closed; a merged one is Closed
	Merged   bool
	HeadRef  string
	HeadSHA  string
	BaseRef  string
	FromFork bool
	// Author is the login of who opened it.
	Author string
	Labels []string
	// MergeCommit is the commit that merged it, on the base; empty while it is not merged.
	MergeCommit string
	// Conflicts says that the forge can't merge it into its base as it is; false also when the forge does not know yet.
	Conflicts bool
}

// NewPullRequest is a pull request to be opened. Head is a branch of the same repository unless HeadOwner names the
// owner of the fork that has it.
type NewPullRequest struct {
	Title     string
	Head      string
	HeadOwner string
	Base      string
	Body      string
	Draft     bool
}

// SplitHead takes apart how a head is named to FindPullRequests: a branch of the repository itself, or "owner:branch" of
// the fork that the owner has. No branch has a colon in its name.
func SplitHead(head string) (owner, branch string) {
	if owner, branch, ok := strings.Cut(head, ":"); ok {
		return owner, branch
	}
	return "", head
}

// Repository is what the forge says about a repository and about our rights to it. Parent is the full name of what it is
// a fork of; it is empty for one that is none, or whose parent the token may not see.
type Repository struct {
	ID            string
	FullName      string
	Parent        string
	DefaultBranch string
	Archived      bool
	CanPush       bool
}

// FileChange is a file that a pull request changes. Hunks is its unified diff from the first "@@" on; it is empty where
// the forge does not show it.
type FileChange struct {
	Path  string
	Hunks string
}

// Comment is a comment on a pull request.
type Comment struct {
	ID     string
	Author string
	Body   string
	At     time.Time
}

// Permission is what a person may do in a repository.
type Permission int

// The permissions, each with those before it.
const (
	NoPermission Permission = iota
	ReadPermission
	WritePermission
	AdminPermission
)

// PermissionNamed reads the word that several forges have for a permission; any other word is none.
func PermissionNamed(word string) Permission {
	switch word {
	case "admin":
		return AdminPermission
	case "write":
		return WritePermission
	case "read":
		return ReadPermission
	}
	return NoPermission
}
