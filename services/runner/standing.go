package runner

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/httpapi"
	"github.com/sre-agent/sre-agent/internal/origin"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// Troubles is what is recorded of the same trouble elsewhere.
type Troubles interface {
	// Refused is the address of the pull request that a person closed, or "".
	Refused(ctx context.Context, fingerprint string) (prURL string, err error)
	// Holder is the publication that stands for a fingerprint, or nil.
	Holder(ctx context.Context, fingerprint string) (*db.Publication, error)
}

// Pulls looks at pull requests; it can't change one.
type Pulls interface {
	IsOpen(ctx context.Context, owner, name, branch string, number int64) (bool, error)
}

// settled is a permanent error that ends the run in a state of its own instead of its stage's.
type settled struct {
	state run.State
	error
}

func (e *settled) Unwrap() error { return e.error }

// stateOf is the state that a stage's permanent error ends the run in.
func stateOf(s stage, err error) run.State {
	var e *settled
	if errors.As(err, &e) {
		return e.state
	}
	return s.refusal
}

// standing ends a run before anything is made for it when its trouble has its answer already, as the publisher
// would at the end: a person's no, or a pull request of another run. It saves the work; the publisher looks again.
func (p *FixPipeline) standing(ctx context.Context, w *work) error {
	fingerprint := w.fingerprint()
	if fingerprint == "" {
		return nil
	}
	no, err := p.Troubles.Refused(ctx, fingerprint)
	if err != nil {
		return err
	}
	if no != "" {
		return &settled{run.Blocked, fault.Perm(store.ReasonPRClosed, &store.FingerprintRefusedError{PRURL: no})}
	}
	holder, err := p.Troubles.Holder(ctx, fingerprint)
	if err != nil || holder == nil || holder.RunID == w.run.ID || holder.PrNumber == nil {
		return err
	}
	// The record says how the pull request was when its run ended. Only one that is open now stands for the trouble;
	// what a merged or a closed one means is the publisher's to say, and so is how one is elsewhere than on GitHub.
	if w.place.Forge != origin.GitHub {
		return nil
	}
	open, err := p.Pulls.IsOpen(ctx, w.place.Owner, w.place.Name, holder.Branch, *holder.PrNumber)
	if err != nil {
		p.Log.WarnContext(ctx, "pull request not looked at; the publisher will", "run_id", w.run.ID, "error", p.detail(err))
		return nil
	}
	if !open {
		return nil
	}
	return &settled{run.Superseded, fault.Perm(store.ReasonPROpen, &store.FingerprintTakenError{Holder: *holder})}
}

// PullReader reads pull requests from GitHub's REST API with the read-only token.
type PullReader struct{ api *httpapi.Client }

// NewPullReader returns a reader for one API.
func NewPullReader(baseURL, token string) PullReader {
	return PullReader{httpapi.New(httpapi.Options{BaseURL: baseURL, Token: token, Version: "2022-11-28"})}
}

// IsOpen says whether the pull request of a branch of this repository is open.
func (r PullReader) IsOpen(ctx context.Context, owner, name, branch string, number int64) (bool, error) {
	path, err := httpapi.Path("repos", owner, name, "pulls")
	if err != nil {
		return false, fmt.Errorf("pull request %d: %w", number, err)
	}
	var got []struct {
		Number int64 `json:"number"`
	}
	// At most one pull request is open between two branches; a page has room for every base.
	query := url.Values{"head": {owner + ":" + branch}, "state": {"open"}, "per_page": {"100"}}
	if _, err := r.api.Get(ctx, path, query, &got); err != nil {
		return false, fmt.Errorf("pull request %d: %w", number, err)
	}
	for _, pr := range got {
		if pr.Number == number {
			return true, nil
		}
	}
	return false, nil
}
