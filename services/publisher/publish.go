package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	end, err := s.publishFix(ctx, r, fix)
	if err != nil {
		return expired(fix, err)
	}
	s.dress(ctx, r, fix, end)
	return end, nil
}

func (s *Service) publishFix(ctx context.Context, r store.Run, fix db.Fix) (ending, error) {
	if err := s.review(ctx, r, fix); err != nil {
		return ending{}, err
	}
	at, err := s.Target(r.Failure)
	if err != nil {
		return ending{}, err
	}
	branch := Branch(r.Failure, int(r.Generation))
	found, err := s.existing(ctx, at, r, branch)
	if err != nil || found != nil {
		return orEmpty(found), err
	}
	mode, held, err := s.held(ctx, at, r)
	if err != nil || held != nil {
		return orEmpty(held), err
	}
	refusal, err := s.refusal(ctx, r)
	if err != nil || refusal != nil {
		return orEmpty(refusal), err
	}
	again, err := s.reopened(ctx, at, r)
	if err != nil || again != nil {
		return orEmpty(again), err
	}
	report, err := evidence.Parse(fix.Evidence)
	if err != nil {
		return ending{}, fault.Perm("bad_evidence", err)
	}
	comment, why, err := s.where(ctx, r, report, mode)
	if err != nil {
		return ending{}, err
	}
	stale, err := s.stale(ctx, at, r)
	if err != nil || stale != nil {
		return orEmpty(stale), err
	}
	mended, err := s.mended(ctx, at, r, fix)
	if err != nil || mended != nil {
		return orEmpty(mended), err
	}
	if comment {
		return s.suggest(ctx, at, r, fix, report, why)
	}
	if at.BeforePush != nil {
		if err := at.BeforePush(ctx); err != nil {
			return ending{}, err
		}
	}
	pub, elsewhere, err := s.intend(ctx, at, r, fix, report, branch)
	if elsewhere != nil {
		return *elsewhere, err
	}
	var taken *store.FingerprintTakenError
	if errors.As(err, &taken) {
		return s.follow(ctx, at, taken.Holder)
	}
	var no *store.FingerprintRefusedError
	if errors.As(err, &no) {
		return closedByPerson(no.PRURL), nil
	}
	if err != nil {
		return ending{}, err
	}
	if err := afford(ctx, s.Writes, at, callsOfPullRequest); err != nil {
		return ending{}, err
	}
	if err := s.push(ctx, at, r, pub); err != nil {
		return ending{}, err
	}
	return s.open(ctx, at, r, fix, report, pub)
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

// existing looks for a pull request of our branch in every state. One that is not ours took the branch's name: it is
// left alone, and so is the branch.
func (s *Service) existing(ctx context.Context, at Target, r store.Run, branch string) (*ending, error) {
	prs, err := at.Forge.FindPullRequests(ctx, at.Owner, at.Name, branch)
	if err != nil {
		return nil, fmt.Errorf("look for pull requests of %s: %w", branch, err)
	}
	if len(prs) == 0 {
		return nil, nil //nolint:nilnil // none is an answer
	}
	pub, err := s.Store.Publication(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(slices.Clone(prs), func(pr forge.PullRequest) bool { return !ours(pub, pr) })
	s.countDuplicates(ctx, own)
	for _, pr := range own {
		if pr.State == forge.Open || pr.Merged {
			e := adopt(pr)
			return &e, nil
		}
	}
	if len(own) > 0 {
		e := closedByPerson(own[0].URL)
		e.closedPR = own[0].URL
		return &e, nil
	}
	e := refused(run.Blocked, "branch_taken", prs[0].URL+" is on our branch with commits that are not ours")
	return &e, nil
}

// countDuplicates tells of a promise that only the forge can show to be broken: one branch of ours, two open pull requests.
func (s *Service) countDuplicates(ctx context.Context, own []forge.PullRequest) {
	var open []string
	for _, pr := range own {
		if pr.State == forge.Open {
			open = append(open, pr.URL)
		}
	}
	if len(open) > 1 {
		s.Counters.PromiseBroken(ctx, telemetry.OnePullRequest)
		s.Log.ErrorContext(ctx, "one run has several open pull requests", "pull_requests", open)
	}
}

// ours says whether a pull request of a publication's branch is that publication's. Its number says so once it is
// recorded, and our commit before. When we have pushed and nobody has heard of a number, a person may have pushed to
// the branch since: the pull request still stands for the trouble, and a second one must not be opened.
func ours(pub *db.Publication, pr forge.PullRequest) bool {
	switch {
	case pub == nil:
		return false
	case pub.PrNumber != nil:
		return *pub.PrNumber == int64(pr.Number)
	default:
		return pub.State == store.PubPushed || strings.EqualFold(pr.HeadSHA, pub.CommitID)
	}
}

func closedByPerson(url string) ending {
	return refused(run.Blocked, store.ReasonPRClosed, (&store.FingerprintRefusedError{PRURL: url}).Error())
}

// adopt takes a pull request of ours that exists as this run's.
func adopt(pr forge.PullRequest) ending { return receipt(store.PubAdopted, pr) }

func receipt(state string, pr forge.PullRequest) ending {
	return ending{
		End:     store.End{State: run.Published, Explanation: "pull request " + pr.URL},
		receipt: &store.Receipt{State: state, Number: int64(pr.Number), URL: pr.URL, Merged: pr.Merged},
	}
}

// stale ends a run whose branch has moved on since the failing commit: whoever pushed may have fixed it.
func (s *Service) stale(ctx context.Context, at Target, r store.Run) (*ending, error) {
	f := r.Failure
	if f.FromFork() {
		return s.staleFork(ctx, at, f)
	}
	head, err := at.Forge.BranchHead(ctx, at.Owner, at.Name, f.Branch)
	switch {
	case errors.Is(err, forge.ErrNoBranch):
		e := refused(run.Superseded, "branch_deleted", "the branch "+f.Branch+" is gone")
		return &e, nil
	case err != nil:
		return nil, fmt.Errorf("head of %s: %w", f.Branch, err)
	case !strings.EqualFold(head, f.Commit):
		e := refused(run.Superseded, "stale", fmt.Sprintf("%s has moved on from the failing commit %.12s to %.12s", f.Branch, f.Commit, head))
		return &e, nil
	}
	return nil, nil //nolint:nilnil // not stale
}

// staleFork is stale for a branch that lives in a fork: its pull request tells where it is.
func (s *Service) staleFork(ctx context.Context, at Target, f ci.Failure) (*ending, error) {
	pr, err := s.discussed(ctx, at, f)
	if err != nil || pr == nil || strings.EqualFold(pr.HeadSHA, f.Commit) {
		return nil, err
	}
	e := refused(run.Superseded, "stale", fmt.Sprintf("%s has moved on from the failing commit %.12s to %.12s", pr.URL, f.Commit, pr.HeadSHA))
	return &e, nil
}

// intend writes the intent, with the commit's id, before anything is pushed; or it ends the run whose incident has its
// pull request.
func (s *Service) intend(
	ctx context.Context, at Target, r store.Run, fix db.Fix, report evidence.Report, branch string,
) (db.Publication, *ending, error) {
	same, err := s.incident(at, fix)
	if err != nil {
		return db.Publication{}, nil, err
	}
	id, err := s.Git.Commit(ctx, at.Place, Commit{
		Base: fix.BaseCommit, Diff: fix.Diff, Message: commitMessage(r, fix, report), When: fix.CreatedAt,
	})
	if err != nil {
		return db.Publication{}, nil, fmt.Errorf("build the commit: %w", err)
	}
	pub, end, err := s.intended(ctx, at, r, func(caps store.Caps) (db.Publication, error) {
		return s.Store.Intend(ctx, r.ID, r.Fence, store.Intent{
			Fingerprint: fingerprint(r), Digest: fix.Digest, Branch: branch, BaseBranch: r.Failure.Branch, CommitID: id,
			Incident: same, Window: s.Incidents, Caps: caps,
		})
	})
	if err != nil || end != nil {
		return pub, end, err
	}
	if pub.CommitID != id || pub.Digest != fix.Digest || pub.Branch != branch {
		return pub, nil, fault.Permf("intent_mismatch", "the commit built now (%.12s) is not the one intended (%.12s)", id, pub.CommitID)
	}
	return pub, nil, nil
}

// push makes sure that our branch is on the forge at our commit, and never moves anybody else's.
func (s *Service) push(ctx context.Context, at Target, r store.Run, pub db.Publication) error {
	if r.Failure.FromFork() {
		return fault.Permf("fork", "nothing of a fork's is ever pushed")
	}
	err := s.Git.PushNew(ctx, at.Place, pub.CommitID, pub.Branch)
	if errors.Is(err, ErrBranchMoved) {
		// Somebody else's branch; or our own push got through and its reply did not.
		head, exists, herr := s.Git.RemoteHead(ctx, at.Place, pub.Branch)
		if herr == nil && (!exists || head != pub.CommitID) {
			return fault.Permf("branch_taken", "the branch %s holds %.12s, which is not ours; it is left alone", pub.Branch, head)
		}
		err = herr
	}
	if err != nil {
		return fmt.Errorf("push %s: %w", pub.Branch, err)
	}
	if pub.State == store.PubIntended {
		return s.Store.Pushed(ctx, r.ID, r.Fence)
	}
	return nil
}

// open creates the pull request, or finds that it exists.
func (s *Service) open(ctx context.Context, at Target, r store.Run, fix db.Fix, report evidence.Report, pub db.Publication) (ending, error) {
	pr, err := at.Forge.CreatePullRequest(ctx, at.Owner, at.Name, forge.NewPullRequest{
		Title: title(r, fix, report), Head: pub.Branch, Base: pub.BaseBranch, Body: body(at, r, fix, report), Draft: s.Draft,
	})
	if errors.Is(err, forge.ErrExists) {
		found, err := s.existing(ctx, at, r, pub.Branch)
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
