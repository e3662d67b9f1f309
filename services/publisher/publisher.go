// Package publisher opens the pull request for a verified fix: find or create, never twice.
//
// It promises that a run has at most one publication; that the intent is recorded before anything is pushed;
// that what is pushed is byte for byte the diff that was verified; that whoever retries adopts the publication
// and can only push the same commit; and that a closed pull request is taken as a person's no. It never has a
// work tree and never runs a repository's code.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/sre-agent/sre-agent/internal/about"
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/lease"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/streams"
)

// Store is what the publisher needs of the judge.
type Store interface {
	Run(ctx context.Context, id int64) (store.Run, error)
	Fix(ctx context.Context, id int64) (db.Fix, error)
	ClaimPublication(ctx context.Context, id, fence int64, holder string, ttl time.Duration) (claimed store.Run, refused string, err error)
	Renew(ctx context.Context, id, fence int64, holder string, ttl time.Duration) error
	Publication(ctx context.Context, id int64) (*db.Publication, error)
	Intend(ctx context.Context, id, fence int64, i store.Intent) (db.Publication, error)
	Pushed(ctx context.Context, id, fence int64) error
	Publish(ctx context.Context, id, fence int64, r store.Receipt, e store.End) error
	Refuse(ctx context.Context, id, fence int64, e store.End, closedPR string) error
	SwitchedOff(ctx context.Context, runID int64) (*db.Switch, error)
	RepositoryMode(ctx context.Context, repositoryID int64) (string, error)
	Refused(ctx context.Context, fingerprint string) (prURL string, err error)
	Merged(ctx context.Context, fingerprint string) (int64, error)
	ClosedPublications(ctx context.Context, fingerprint string, n int32) ([]db.Publication, error)
	SetPRState(ctx context.Context, p db.Publication, state string) error
	GiveBackPublication(ctx context.Context, id, fence int64, g store.GiveBack) error
	Restraint
}

// Restraint is what the judge knows of what people were asked to look at already.
type Restraint interface {
	OpenPublications(ctx context.Context, repository int64, n int32) ([]db.Publication, error)
	Acceptance(ctx context.Context, repository int64, class string, days int) (store.Acceptance, error)
	Follow(ctx context.Context, id, fence, leader int64, e store.End) error
	IntendSuggestion(ctx context.Context, id, fence int64, n store.Suggestion) (db.Suggestion, error)
	Suggest(ctx context.Context, id, fence int64, state, commentID string, e store.End) error
}

// Git builds the commit in a bare repository and pushes it.
type Git interface {
	// Commit builds the commit of a diff on a base; the same input gives the same id.
	Commit(ctx context.Context, at origin.Place, c Commit) (id string, err error)
	// RemoteHead is where a branch stands on the forge.
	RemoteHead(ctx context.Context, at origin.Place, branch string) (id string, exists bool, err error)
	// PushNew creates a branch at a commit; it fails with ErrBranchMoved when the branch exists.
	PushNew(ctx context.Context, at origin.Place, commit, branch string) error
}

// Commit is what Git.Commit builds.
type Commit struct {
	Base    string
	Diff    []byte
	Message string
	// When is the author and committer date.
	When time.Time
}

// ErrBranchMoved says that the branch on the forge is not where it was expected.
var ErrBranchMoved = errors.New("the branch is not where it was expected")

// Emitter publishes events.
type Emitter interface {
	Emit(ctx context.Context, e streams.Event)
}

// Service handles the doorbells of FIXES.
type Service struct {
	Store Store
	// Target says where the pull requests of a failure's repository are opened.
	Target   func(ci.Failure) (Target, error)
	Git      Git
	Settings Settings
	Review   Reviewer
	Events   Emitter
	Counters *telemetry.Counters
	Log      *slog.Logger
	// Holder names this process in leases; TTL is their length.
	Holder string
	TTL    time.Duration
	// Redact removes secrets from a text that is stored or shown.
	Redact func(string) string
	// Draft opens pull requests as drafts.
	Draft bool
	// Receipts signs what is published; nil leaves it unsigned.
	Receipts *Receipts
	// Caps bound the pull requests of one repository, and Writes what is written to one forge; none is no bound.
	Caps   store.Caps
	Writes Writes
	// Incidents is how long a pull request stands for the same trouble elsewhere; 0 is not at all.
	Incidents time.Duration
}

// Reviewer checks a diff once more, by itself: rules and secrets. It returns a permanent error when the diff
// must not be published.
type Reviewer interface {
	Review(ctx context.Context, diff []byte) error
}

// Handle publishes one verified fix. The doorbell may be old, doubled or forged: the row decides.
func (s *Service) Handle(ctx context.Context, m *streams.Message) streams.Outcome {
	if m.Type != streams.TypeFix {
		return streams.Dead("unexpected_type", fmt.Errorf("a %q message on FIXES", m.Type))
	}
	r, err := s.Store.Run(ctx, m.RunID)
	if errors.Is(err, store.ErrNotFound) {
		return streams.Dead("unknown_run", err)
	}
	if err != nil {
		return streams.Leave(err)
	}
	if err := genuine(m, r); err != nil {
		s.Log.ErrorContext(ctx, "a doorbell that nobody of ours rang", "run_id", r.ID, "subject", m.Subject, "fence", m.Fence, "error", err)
		return streams.Dead("forged_doorbell", err)
	}
	if run.State(r.State) != run.Fixed || m.Fence < r.Fence {
		s.Counters.RunSkipped(ctx, telemetry.SkipStale)
		return streams.Done() // an old doorbell
	}
	ctx = about.With(ctx, about.Work{RunID: r.ID, RunKey: r.RunKey, Repository: r.Failure.Repository.FullName(), Attempt: int(r.AttemptCount)})
	token := s.Holder + "/" + uuid.NewString()
	asked := time.Now()
	streams.LinkTo(ctx, r.LastTrace)
	r, refused, err := s.Store.ClaimPublication(ctx, r.ID, r.Fence, token, s.TTL)
	if err != nil {
		return streams.Leave(err)
	}
	if refused != "" {
		return streams.Done()
	}
	held, stop := lease.Keep(ctx, asked, s.TTL, func(ctx context.Context) error {
		err := s.Store.Renew(ctx, r.ID, r.Fence, token, s.TTL)
		if errors.Is(err, store.ErrFenced) {
			return fmt.Errorf("%w: %w", lease.ErrLost, err)
		}
		return err
	})
	defer stop() // a panic must not leave the heartbeat behind: it would hold the run for ever
	end, err := s.publish(held, r)
	lost := lease.Lost(held)
	stop()
	if lost != nil {
		s.Log.ErrorContext(ctx, "lease lost; publication dropped", "fence", r.Fence, "error", lost)
		return streams.Done()
	}
	return s.settle(context.WithoutCancel(ctx), r, end, err)
}

// genuine refuses a doorbell that can't be ours: for another repository than the run's, or with a fence that was never
// issued. Where a fix goes and what it is, the row says; a doorbell can't.
func genuine(m *streams.Message, r store.Run) error {
	repo := r.Failure.Repository
	if want := streams.FixSubject(r.Failure.Provider, repo.Owner, repo.Name); m.Subject != want {
		return fmt.Errorf("run %d is rung on %q, which is not its repository's %q", r.ID, m.Subject, want)
	}
	if m.Fence > r.Fence {
		return fmt.Errorf("run %d is rung with fence %d; the highest issued is %d", r.ID, m.Fence, r.Fence)
	}
	return nil
}

// ending is how a publication ended: with a receipt, or refused. closedPR is the address of a pull request that a
// person closed: the fingerprint is refused from now on.
type ending struct {
	store.End
	receipt   *store.Receipt
	suggested *suggestion
	closedPR  string
	// leader is the run whose pull request stands for this one's trouble too.
	leader int64
}

// suggestion is the comment that a fix ended in.
type suggestion struct{ state, comment string }

// settle records how the try ended. If the process dies before the commit, the next try finds the pull request
// on the forge and adopts it.
func (s *Service) settle(ctx context.Context, r store.Run, end ending, err error) streams.Outcome {
	if reason, permanent := fault.Reason(err); permanent {
		end = refused(run.Blocked, reason, s.Redact(err.Error()))
		err = nil
	}
	if errors.Is(err, store.ErrFenced) {
		return streams.Done()
	}
	var over *putOff
	if err != nil && r.TransientCount >= run.MaxTransient && !errors.As(err, &over) {
		end, err = refused(run.Blocked, run.EndDependency, s.Redact(err.Error())), nil
	}
	if err != nil {
		return s.giveBack(ctx, r, err)
	}
	err = s.record(ctx, r, end)
	if errors.Is(err, store.ErrFenced) {
		return streams.Done()
	}
	if err != nil {
		return streams.Leave(err)
	}
	s.tell(ctx, r, end)
	return streams.Done()
}

func (s *Service) record(ctx context.Context, r store.Run, end ending) error {
	switch {
	case end.receipt != nil:
		return s.Store.Publish(ctx, r.ID, r.Fence, *end.receipt, end.End)
	case end.suggested != nil:
		return s.Store.Suggest(ctx, r.ID, r.Fence, end.suggested.state, end.suggested.comment, end.End)
	case end.leader != 0:
		return s.Store.Follow(ctx, r.ID, r.Fence, end.leader, end.End)
	default:
		return s.Store.Refuse(ctx, r.ID, r.Fence, end.End, end.closedPR)
	}
}

func (s *Service) giveBack(ctx context.Context, r store.Run, cause error) streams.Outcome {
	stopping := errors.Is(cause, context.Canceled)
	why := s.Redact(cause.Error())
	g := store.GiveBack{Reason: run.WaitDependency, Explanation: why, Transient: !stopping}
	var over *putOff
	switch {
	case errors.As(cause, &over):
		g = store.GiveBack{Reason: run.WaitPRCap, Explanation: why, Delay: over.after}
	case !stopping:
		g.Delay = rest(int(r.TransientCount), cause)
	}
	err := s.Store.GiveBackPublication(ctx, r.ID, r.Fence, g)
	if errors.Is(err, store.ErrFenced) {
		return streams.Done()
	}
	if err != nil {
		return streams.Leave(err)
	}
	if over != nil {
		s.Counters.Throttled(ctx, telemetry.ThrottlePRCap)
	} else {
		s.Counters.Retry(ctx, telemetry.RetryPublish)
	}
	s.Log.WarnContext(ctx, "publication given back", "reason", g.Reason, "retry_in", g.Delay, "error", why)
	s.emit(ctx, "publication.waiting", r, g.Reason, why)
	return streams.Done()
}

// maxLimit bounds how long a forge's limit that named no time is waited for.
const maxLimit = time.Hour

// rest is how long a publication rests after its (n+1)th failure. When a forge's limit names no time, it is a minute and
// then twice as long each time, as GitHub asks for (docs.github.com, "Best practices for using the REST API").
func rest(n int, cause error) time.Duration {
	d := run.TransientDelay(n, fault.RetryAfter(cause))
	var limit *httpapi.RetryError
	if errors.As(cause, &limit) && limit.Guessed {
		d = max(d, min(limit.After<<min(n, 6), maxLimit))
	}
	return d
}

func refused(state run.State, reason, explanation string) ending {
	return ending{End: store.End{State: state, Reason: reason, Explanation: explanation}}
}

func (s *Service) tell(ctx context.Context, r store.Run, end ending) {
	s.Counters.RunEnded(ctx, telemetry.Ending(end.State))
	s.count(ctx, r, end)
	log := s.Log.With("state", end.State, "reason", end.Reason)
	detail := end.Explanation
	if end.receipt != nil {
		detail = end.receipt.URL
		s.Counters.PullRequestAfter(ctx, time.Since(r.CreatedAt))
		log = log.With("pull_request", end.receipt.URL)
	}
	log.InfoContext(ctx, "run ended", "explanation", end.Explanation)
	s.emit(ctx, "run."+string(end.State), r, end.Reason, detail)
}

// count counts why no pull request was created, once the records say so: never for a try whose end was not written.
func (s *Service) count(ctx context.Context, r store.Run, end ending) {
	switch {
	case end.receipt == nil:
		s.Counters.EndedWithoutPullRequest(ctx, end.Reason, end.closedPR == "" && fingerprint(r) != "")
	case end.receipt.State == store.PubAdopted && end.receipt.Merged:
		s.Counters.PRCreateSkipped(ctx, telemetry.PRExistsMerged)
	case end.receipt.State == store.PubAdopted:
		s.Counters.PRCreateSkipped(ctx, telemetry.PRExistsOpen)
	}
}

func (s *Service) emit(ctx context.Context, kind string, r store.Run, reason, detail string) {
	repo := r.Failure.Repository
	s.Events.Emit(ctx, streams.Event{
		Kind: kind, Provider: r.Failure.Provider, Owner: repo.Owner, Name: repo.Name,
		RunID: r.ID, Attempt: int(r.AttemptCount), Reason: reason, Detail: detail,
	})
}
