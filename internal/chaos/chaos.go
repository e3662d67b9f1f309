// Package chaos holds the parts of the chaos runs that need no running system: the seeded plan of a round, the proxy
// that partitions a program from what it depends on, and the checker, which says from the outside whether the
// promises of the design (I1 to I12) held.
//
// It promises that a plan depends on its seed alone, and that the checker decides on the history it is given and
// nothing else: what it reports can be reproduced from that.
package chaos

import "time"

// History is everything that was seen of the system from the outside. Times of attempts are the database's.
type History struct {
	Limits Limits

	Sent       []Sent
	StreamIDs  []string
	Deliveries []Delivery
	Failures   []Failure

	Runs         []Run
	Attempts     []Attempt
	Fixes        []Fix
	Publications []Publication

	PullRequests []PullRequest
	Pushes       []Push
	Creations    []Creation
	Sandboxes    []Sandbox
	Outages      []Outage
	Holds        []Hold
	Leaks        []Leak
	// Counts are those of the round that has just been played.
	Counts []Count
	Round  int
	// Broken is what needs no more judging: a panic, a request answered otherwise than it must be.
	Broken []string
}

// Limits are the knobs that the programs ran with.
type Limits struct {
	MaxAttempts             int
	BaseBackoff, MaxBackoff time.Duration
	Cooldown                time.Duration
	PerRepository           int
	// Open is how many pull requests of ours may be open in one repository; 0 is any number.
	Open int
}

// Sent is one delivery id as its sender saw it, over all tries.
type Sent struct {
	ID string
	// Accepted: it was answered 2xx at least once. Rejected: it was answered 4xx, and never 2xx.
	Accepted, Rejected bool
	// RunKey is the run that the delivery belongs to; empty for one that asks for nothing.
	RunKey string
}

// Failure is a red workflow that the generator made.
type Failure struct {
	RunKey string
	// Fixable says that nothing but crashes can keep it from being published.
	Fixable bool
	// Foreign is a person's commit on the branch that the fix would be pushed to; empty: there is none.
	Foreign string
}

// Delivery is the record of a delivery.
type Delivery struct {
	ID, Outcome, Reason string
	RunID               int64
}

// Run is a run's row.
type Run struct {
	ID                         int64
	Key, Repository            string
	State, Reason, Explanation string
	Fingerprint                string
	Fence                      int64
	AttemptCount               int
	Ended                      bool
}

// Attempt is one execution. Number is 0 when it was given back; Ended is zero while it is open.
type Attempt struct {
	RunID, Fence    int64
	Number          int
	Started, Ended  time.Time
	Outcome, Reason string
	// PID is the process that held it.
	PID int
}

// Fix is a verified patch. Sum is the digest of the bytes that are stored, computed by the checker's side.
type Fix struct {
	RunID, Fence int64
	Digest, Sum  string
	Base         string
}

// Publication is the intent of a pull request and its receipt.
type Publication struct {
	RunID                 int64
	State, Branch, Commit string
	Digest                string
	PRNumber              int
}

// PullRequest is a pull request as the forge has it.
type PullRequest struct {
	Repository, Head, HeadSHA string
	Number                    int
	Open, Merged              bool
	// Created and Ended are the forge's times; Ended is zero while it is open.
	Created, Ended time.Time
	// RunKey is the one that its body names.
	RunKey string
	// Parent is the head commit's only parent, and Applied says that the recorded diff, applied to that parent,
	// gives exactly the head commit's tree.
	Parent  string
	Applied bool
}

// Push is one ref that a push asked the forge to change.
type Push struct {
	Repository, Ref, Old, New string
	Applied                   bool
}

// Creation is how often pull requests were asked for in a repository, and how often something may have gone wrong
// on the way there.
type Creation struct {
	Repository           string
	Asked, Opened, Hurts int
}

// Sandbox is a span of samples in which a sandbox of an attempt was seen alive.
type Sandbox struct {
	RunID, Fence int64
	First, Last  int
}

// Outage is the moment in which a process was made to crash, to stop, or to look as if it had: kill -9, SIGSTOP, or a
// partition that keeps it alone from PostgreSQL.
type Outage struct {
	PID        int
	Name, What string
	At         time.Time
}

// Hold is a time in which a repository was paused or switched off: from when that was committed until it was asked to be
// taken back. To is zero when it never was.
type Hold struct {
	Repository string
	Off        bool
	From, To   time.Time
}

// Leak is a secret that was seen where it must not be.
type Leak struct{ Secret, Where string }
