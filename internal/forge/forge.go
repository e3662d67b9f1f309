// Package forge holds what the publisher and a forge's client say to each other.
//
// It has no behaviour; internal/forge/<forge> does the talking. Only the publisher may import it. Owner and name are
// always a repository's names at that forge.
package forge

import (
	"errors"
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

// Repository is what the forge says about a repository and about our rights to it.
type Repository struct {
	ID            string
	FullName      string
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

// OwnCheck is the name, or its part before a "/", of every check and status that sre-agent reports itself.
const OwnCheck = "sre-agent"

// Checks is what a commit's CI says, all of it together, without what sre-agent reports itself.
type Checks int

// The outcomes of a commit's CI.
const (
	ChecksNone    Checks = iota // nothing has reported
	ChecksPending               // something is still under way
	ChecksGreen
	ChecksRed
)
