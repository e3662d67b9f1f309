// Package conform holds every forge's client and double to the one contract that the publisher builds on.
//
// Run drives a client through a double over real HTTP and real git, for every case that the contract names. What a
// forge has not is told by Driver.Lacks: its client then has to say forge.ErrUnsupported, and the cases that need it are
// not run. CreateCases is the part of it that other packages can use to see what they make of each case.
package conform

import (
	"context"
	"net/http"
	"testing"

	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/gitrepo"
)

// Client is what the publisher can ask of a forge.
type Client interface {
	FindPullRequests(ctx context.Context, owner, name, branch string) ([]forge.PullRequest, error)
	PullRequest(ctx context.Context, owner, name string, number int) (forge.PullRequest, error)
	OpenPullRequests(ctx context.Context, owner, name string) ([]forge.PullRequest, error)
	CreatePullRequest(ctx context.Context, owner, name string, pr forge.NewPullRequest) (forge.PullRequest, error)
	ClosePullRequest(ctx context.Context, owner, name string, number int) error
	AddLabels(ctx context.Context, owner, name string, number int, labels []string) error
	ChangedFiles(ctx context.Context, owner, name string, number int) ([]forge.FileChange, error)
	Comments(ctx context.Context, owner, name string, number int) ([]forge.Comment, error)
	Comment(ctx context.Context, owner, name string, number int, body string) (forge.Comment, error)
	EditComment(ctx context.Context, owner, name string, number int, id, body string) error
	Permission(ctx context.Context, owner, name, login string) (forge.Permission, error)
	BranchHead(ctx context.Context, owner, name, branch string) (string, error)
	CommitChecks(ctx context.Context, owner, name, commit string) (forge.Checks, error)
	Repository(ctx context.Context, owner, name string) (forge.Repository, error)
}

// Access is what a token may do.
type Access int

// The tokens that a double knows, and one that it does not.
const (
	Writer Access = iota
	Reader
	Stranger
)

// Feature is a thing that not every forge has.
type Feature string

// The features. A client answers forge.ErrUnsupported for what its forge lacks, where it has a method for it.
const (
	API         Feature = "an API that is spoken over HTTP"
	PullStates  Feature = "pull requests that people close, reopen and merge" // else PullRequest, Close and Open are unsupported
	Repeats     Feature = "a second pull request of a commit whose first one was closed"
	MergeCommit Feature = "the commit of a merge"
	Drafts      Feature = "drafts"
	Labels      Feature = "labels"
	Comments    Feature = "comments"
	Files       Feature = "changed files"
	Hunks       Feature = "the hunks of changed files"
	Conflicts   Feature = "word of conflicts"
	Permissions Feature = "permissions of people"
	Checks      Feature = "checks of commits"
	Archives    Feature = "archived repositories"
	Forks       Feature = "forks"
	EmptyPulls  Feature = "a refusal of pull requests without commits"
	LateHeads   Feature = "word of a missing head that tells it from other refusals"
)

// Driver is a double of a forge, and the people who use it.
type Driver interface {
	// Lacks says that the forge has no such thing.
	Lacks(f Feature) bool
	// Client speaks for the token of that access.
	Client(a Access) Client
	// Remote is where git finds a repository, with the token of that access.
	Remote(a Access, owner, name string) gitrepo.Remote
	// Secrets are all forms of the tokens, which nothing may show.
	Secrets() []string
	// SetFault is asked about every request, git's too, as forgetest.Server's; nil takes it away.
	SetFault(f func(*http.Request) *forgetest.Fault)
	// Violations are requests that the forge's own contract does not know.
	Violations() []string

	// NewRepository makes an empty private repository with the default branch main, and says whose it is.
	NewRepository(name string) (owner string, err error)
	// Seen is what is there, the oldest pull request first.
	Seen(owner, name string) ([]Seen, error)

	People
}

// People act on a double as persons do.
type People interface {
	// Fork makes a fork of login's, with all branches.
	Fork(owner, name, login string) (forkOwner, forkName string, err error)
	Open(owner, name, login string, pr forge.NewPullRequest) error
	Comment(owner, name string, number int, login, body string) error
	Close(owner, name string, number int) error
	Reopen(owner, name string, number int) error
	Merge(owner, name string, number int) error
	Archive(owner, name string) error
	SetPermission(owner, name, login string, p forge.Permission) error
	// Report lets a CI say something about a commit, under the name of a check.
	Report(owner, name, commit, check string, c forge.Checks) error
}

// Seen is a pull request with what a person sees of it.
type Seen struct {
	forge.PullRequest
	Title, Body string
	Draft       bool
	Comments    []forge.Comment
}

// Run holds a client and its double to the contract. start makes one double, which serves all cases.
func Run(t *testing.T, start func(t *testing.T) Driver) {
	d := start(t)
	t.Run("new pull requests", func(t *testing.T) { testCreate(t, d) })
	t.Run("pull requests", func(t *testing.T) { testPullRequests(t, d) })
	if !d.Lacks(Forks) {
		t.Run("forks", func(t *testing.T) { testForks(t, d) })
	}
	t.Run("talk", func(t *testing.T) { testTalk(t, d) })
	t.Run("repositories", func(t *testing.T) { testRepositories(t, d) })
	t.Run("pushes", func(t *testing.T) { testPushes(t, d) })
	t.Run("what the forge has not", func(t *testing.T) { testUnsupported(t, d) })
	if !d.Lacks(API) {
		t.Run("faults", func(t *testing.T) { testFaults(t, d) })
		t.Run("lost replies", func(t *testing.T) { testLostReplies(t, d) })
		t.Run("redirects", func(t *testing.T) { testRedirects(t, d) })
	}
	if v := d.Violations(); len(v) > 0 {
		t.Errorf("what the forge's contract does not know: %q", v)
	}
}

func lacksAny(d Driver, needs []Feature) bool {
	for _, f := range needs {
		if d.Lacks(f) {
			return true
		}
	}
	return false
}
