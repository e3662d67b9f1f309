package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/evidence"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/forge"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
	"github.com/sre-agent/sre-agent/internal/telemetry"
	"github.com/sre-agent/sre-agent/internal/webhook"
)

// publish brings a claimed run to a pull request. Each step looks at what is there before it acts, so that it
// may be begun again at any point:
//
//	died before the intent     nothing has happened; begin again
//	died before the push       the intent is adopted, and the same commit built again
//	died after the push        the branch is found at our commit
//	died after the creation    the pull request is found by its branch, and adopted
//	reply of the push or the creation lost: as if died after it
func (s *Service) publish(ctx context.Context, r store.Run) (ending, error) {
	fix, err := s.Store.Fix(ctx, r.ID)
	if err != nil {
		return ending{}, err
	}
	if err := s.review(ctx, r, fix); err != nil {
		return ending{}, err
	}
	branch := Branch(r.Failure, int(r.Generation))
	found, err := s.existing(ctx, r, branch)
	if err != nil || found != nil {
		return orEmpty(found), err
	}
	refusal, err := s.refusal(ctx, r)
	if err != nil || refusal != nil {
		return orEmpty(refusal), err
	}
	stale, err := s.stale(ctx, r)
	if err != nil || stale != nil {
		return orEmpty(stale), err
	}
	pub, err := s.intend(ctx, r, fix, branch)
	var taken *store.FingerprintTakenError
	if errors.As(err, &taken) {
		return s.follow(ctx, r, taken.Holder)
	}
	var no *store.FingerprintRefusedError
	if errors.As(err, &no) {
		return s.refusedBy(ctx, no.PRURL), nil
	}
	if err != nil {
		return ending{}, err
	}
	if err := s.push(ctx, r, pub); err != nil {
		return ending{}, err
	}
	return s.open(ctx, r, fix, pub)
}

func orEmpty(e *ending) ending {
	if e == nil {
		return ending{}
	}
	return *e
}

// review checks by itself that the diff is the one that was verified and that the rules allow it.
func (s *Service) review(ctx context.Context, r store.Run, fix db.Fix) error {
	if patch.Digest(fix.Diff) != fix.Digest {
		return fault.Permf("digest_mismatch", "the stored diff is not the one that was verified")
	}
	if fix.BaseCommit != r.Failure.Commit {
		return fault.Permf("base_mismatch", "the fix is for %s, the run for %s", fix.BaseCommit, r.Failure.Commit)
	}
	return s.Review.Review(ctx, fix.Diff)
}

// existing looks for a pull request of our branch in every state.
func (s *Service) existing(ctx context.Context, r store.Run, branch string) (*ending, error) {
	repo := r.Failure.Repository
	prs, err := s.Forge.FindPullRequests(ctx, repo.Owner, repo.Name, branch)
	if err != nil {
		return nil, fmt.Errorf("look for pull requests of %s: %w", branch, err)
	}
	for _, pr := range prs {
		if pr.State == forge.Open || pr.Merged {
			return s.adopt(ctx, r, pr)
		}
	}
	if len(prs) > 0 {
		s.Counters.PRCreateSkipped(ctx, telemetry.PRExistsClosed)
		e := closedByPerson(prs[0].URL)
		e.closedPR = prs[0].URL
		return &e, nil
	}
	return nil, nil //nolint:nilnil // none is an answer
}

func closedByPerson(url string) ending {
	return refused(run.Blocked, "pull_request_closed", "a person closed "+url+"; that is taken as a no until somebody lifts it (sre-agent runs unblock)")
}

// adopt takes a pull request that exists as this run's. One without our intent is none of ours: the branch name
// was taken by somebody else. Once we have pushed, the branch is ours: when a person has pushed to it since, the pull
// request still stands for the trouble, and a second one must not be opened.
func (s *Service) adopt(ctx context.Context, r store.Run, pr forge.PullRequest) (*ending, error) {
	pub, err := s.Store.Publication(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if pub == nil || (pub.State == store.PubIntended && pr.State == forge.Open && pr.HeadSHA != "" && pr.HeadSHA != pub.CommitID) {
		s.Counters.PRCreateSkipped(ctx, telemetry.PRBranchTaken)
		e := refused(run.Blocked, "branch_taken", pr.URL+" is on our branch with commits that are not ours")
		return &e, nil
	}
	if pr.Merged {
		s.Counters.PRCreateSkipped(ctx, telemetry.PRExistsMerged)
	} else {
		s.Counters.PRCreateSkipped(ctx, telemetry.PRExistsOpen)
	}
	e := receipt(store.PubAdopted, pr)
	return &e, nil
}

func receipt(state string, pr forge.PullRequest) ending {
	return ending{
		End:     store.End{State: run.Published, Explanation: "pull request " + pr.URL},
		receipt: &store.Receipt{State: state, Number: int64(pr.Number), URL: pr.URL, Merged: pr.Merged},
	}
}

// stale ends a run whose branch has moved on since the failing commit: whoever pushed may have fixed it.
func (s *Service) stale(ctx context.Context, r store.Run) (*ending, error) {
	f := r.Failure
	head, err := s.Forge.BranchHead(ctx, f.Repository.Owner, f.Repository.Name, f.Branch)
	switch {
	case errors.Is(err, forge.ErrNoBranch):
		s.Counters.PRCreateSkipped(ctx, telemetry.PRStale)
		e := refused(run.Superseded, "branch_deleted", "the branch "+f.Branch+" is gone")
		return &e, nil
	case err != nil:
		return nil, fmt.Errorf("head of %s: %w", f.Branch, err)
	case !strings.EqualFold(head, f.Commit):
		s.Counters.PRCreateSkipped(ctx, telemetry.PRStale)
		e := refused(run.Superseded, "stale", fmt.Sprintf("%s has moved on from the failing commit %.12s to %.12s", f.Branch, f.Commit, head))
		return &e, nil
	}
	return nil, nil //nolint:nilnil // not stale
}

// intend writes the intent, with the commit's id, before anything is pushed.
func (s *Service) intend(ctx context.Context, r store.Run, fix db.Fix, branch string) (db.Publication, error) {
	report, err := evidence.Parse(fix.Evidence)
	if err != nil {
		return db.Publication{}, fault.Perm("bad_evidence", err)
	}
	id, err := s.Git.Commit(ctx, r.Failure.Repository, Commit{
		Base: fix.BaseCommit, Diff: fix.Diff, Message: commitMessage(r, fix, report), When: fix.CreatedAt,
	})
	if err != nil {
		return db.Publication{}, fmt.Errorf("build the commit: %w", err)
	}
	pub, err := s.Store.Intend(ctx, r.ID, r.Fence, store.Intent{
		Fingerprint: fingerprint(r), Digest: fix.Digest, Branch: branch, BaseBranch: r.Failure.Branch, CommitID: id,
	})
	if err != nil {
		return pub, err
	}
	if pub.CommitID != id || pub.Digest != fix.Digest || pub.Branch != branch {
		return pub, fault.Permf("intent_mismatch", "the commit built now (%.12s) is not the one intended (%.12s)", id, pub.CommitID)
	}
	return pub, nil
}

// push makes sure that our branch is on the forge at our commit, and never moves anybody else's.
func (s *Service) push(ctx context.Context, r store.Run, pub db.Publication) error {
	repo := r.Failure.Repository
	head, exists, err := s.Git.RemoteHead(ctx, repo, pub.Branch)
	if err != nil {
		return fmt.Errorf("head of %s: %w", pub.Branch, err)
	}
	if !exists {
		err = s.Git.PushNew(ctx, repo, pub.CommitID, pub.Branch)
		if errors.Is(err, ErrBranchMoved) {
			// Somebody pushed in between; or our own push got through and its reply did not.
			head, exists, err = s.Git.RemoteHead(ctx, repo, pub.Branch)
		} else if err == nil {
			head, exists = pub.CommitID, true
		}
		if err != nil {
			return fmt.Errorf("push %s: %w", pub.Branch, err)
		}
	}
	if !exists || head != pub.CommitID {
		s.Counters.PRCreateSkipped(ctx, telemetry.PRBranchTaken)
		return fault.Permf("branch_taken", "the branch %s holds %.12s, which is not ours; it is left alone", pub.Branch, head)
	}
	if pub.State == store.PubIntended {
		return s.Store.Pushed(ctx, r.ID, r.Fence)
	}
	return nil
}

// open creates the pull request, or finds that it exists.
func (s *Service) open(ctx context.Context, r store.Run, fix db.Fix, pub db.Publication) (ending, error) {
	report, err := evidence.Parse(fix.Evidence)
	if err != nil {
		return ending{}, fault.Perm("bad_evidence", err)
	}
	repo := r.Failure.Repository
	pr, err := s.Forge.CreatePullRequest(ctx, repo.Owner, repo.Name, forge.NewPullRequest{
		Title: title(fix), Head: pub.Branch, Base: pub.BaseBranch, Body: body(r, fix, report), Draft: s.Draft,
	})
	if errors.Is(err, forge.ErrExists) {
		found, err := s.existing(ctx, r, pub.Branch)
		if err == nil && found == nil {
			err = errors.New("the forge says that the pull request exists and does not list it")
		}
		return orEmpty(found), err
	}
	if err != nil {
		return ending{}, fmt.Errorf("open the pull request: %w", err)
	}
	return receipt(store.PubOpened, pr), nil
}

// Branch is the branch that a failure's fix is pushed to: the same for every try of one generation.
func Branch(f ci.Failure, generation int) string {
	const most = 40
	var b strings.Builder
	for _, c := range strings.ToLower(f.WorkflowName) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= most {
			break
		}
	}
	slug := strings.Trim(b.String(), "-")
	if slug == "" {
		slug = "workflow"
	}
	name := webhook.OwnBranchPrefix + slug + "-" + ci.ShortKey(f.RunKey())
	if generation > 1 {
		name += fmt.Sprintf("-%d", generation)
	}
	return name
}
