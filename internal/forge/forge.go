// Package forge holds what the publisher and a forge's client say to each other about pull requests.
//
// It has no behaviour; internal/forge/<forge> does the talking. Only the publisher may import it.
package forge

import "errors"

// ErrExists says that an open pull request for the same head and base is already there.
var ErrExists = errors.New("a pull request already exists")

// ErrNoBranch says that the repository is there and the branch is not.
var ErrNoBranch = errors.New("no such branch")

// States of a pull request.
const (
	Open   = "open"
	Closed = "closed"
)

// PullRequest is a pull request as the forge has it.
type PullRequest struct {
	Number  int
	URL     string
	State   string // Open or Closed; a merged one is Closed
	Merged  bool
	HeadRef string
	HeadSHA string
	BaseRef string
}

// NewPullRequest is a pull request to be opened; Head and Base are branches of one repository.
type NewPullRequest struct {
	Title string
	Head  string
	Base  string
	Body  string
	Draft bool
}

// Repository is what the forge says about a repository and about our rights to it.
type Repository struct {
	ID            string
	FullName      string
	DefaultBranch string
	Archived      bool
	CanPush       bool
}
