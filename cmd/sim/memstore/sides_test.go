package memstore_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/sre-agent/sre-agent/cmd/sim/memstore"
	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// judge is what the double and the real store have in common.
type judge interface {
	RecordEnd(ctx context.Context, d store.Delivery, outcome, reason string) (store.Record, error)
	RecordFailure(ctx context.Context, d store.Delivery, f ci.Failure, start store.Start, traceParent string) (store.Record, error)
	RecordSuccess(ctx context.Context, d store.Delivery, f ci.Failure) (store.Record, error)
	RingDue(ctx context.Context, perRepository int, n int32) ([]store.Run, error)
	RingAgain(ctx context.Context, older time.Duration, n int32) ([]store.Run, error)
	RingFixed(ctx context.Context, older time.Duration, n int32) ([]store.Run, error)
	TakeBack(ctx context.Context, limits run.Limits, n int32) ([]store.Run, error)
	Run(ctx context.Context, id int64) (store.Run, error)
	ClaimRun(ctx context.Context, c store.Claim) (store.Run, string, error)
	Defer(ctx context.Context, id, fence int64, reason string, delay time.Duration) error
	Renew(ctx context.Context, id, fence int64, holder string, ttl time.Duration) error
	EndRun(ctx context.Context, id, fence int64, e store.End) error
	SaveFix(ctx context.Context, id, fence int64, f store.Fix) error
	GiveBack(ctx context.Context, id, fence int64, g store.GiveBack) error
	ClaimPublication(ctx context.Context, id, fence int64, holder string, ttl time.Duration) (store.Run, string, error)
	Fix(ctx context.Context, id int64) (db.Fix, error)
	Publication(ctx context.Context, id int64) (*db.Publication, error)
	Intend(ctx context.Context, id, fence int64, i store.Intent) (db.Publication, error)
	Pushed(ctx context.Context, id, fence int64) error
	Publish(ctx context.Context, id, fence int64, r store.Receipt, e store.End) error
	Refuse(ctx context.Context, id, fence int64, e store.End, closedPR string) error
	Refused(ctx context.Context, fingerprint string) (string, error)
	Merged(ctx context.Context, fingerprint string) (int64, error)
	ClosedPublications(ctx context.Context, fingerprint string, n int32) ([]db.Publication, error)
	SetPRState(ctx context.Context, p db.Publication, state string) error
	GiveBackPublication(ctx context.Context, id, fence int64, g store.GiveBack) error
	ResumeFix(ctx context.Context, id, fence int64) (store.Run, bool, error)
	OpenPublications(ctx context.Context, repository int64, n int32) ([]db.Publication, error)
	Acceptance(ctx context.Context, repository int64, class string, days int) (store.Acceptance, error)
	Follow(ctx context.Context, id, fence, leader int64, e store.End) error
	IntendSuggestion(ctx context.Context, id, fence int64, n store.Suggestion) (db.Suggestion, error)
	Suggest(ctx context.Context, id, fence int64, state, commentID string, e store.End) error
	CancelRun(ctx context.Context, id int64, a store.Actor) (store.Run, error)
	RetryRun(ctx context.Context, id int64, a store.Actor) (store.Run, error)
	UnblockRun(ctx context.Context, id int64, a store.Actor) (store.Run, error)
	ChangeRepository(ctx context.Context, id int64, operation string, a store.Actor, change func(*store.RepositorySettings)) (before, after store.RepositorySettings, err error)
	RepositoryMode(ctx context.Context, id int64) (string, error)
	Switch(ctx context.Context, id int64, on bool, by store.Actor) (changed bool, err error)
	SwitchedOff(ctx context.Context, id int64) (*db.Switch, error)
	KnownDeliveries(ctx context.Context, provider string, ids []string) (map[string]bool, error)
}

// side is one of the two, with its own ids.
type side struct {
	judge
	ids map[string]int64 // by run key
}

func (s *side) key(id int64) string {
	for k, v := range s.ids {
		if v == id {
			return k
		}
	}
	return ""
}

func (s *side) keys(runs []store.Run) string {
	out := []string{}
	for _, r := range runs {
		out = append(out, fmt.Sprintf("%s fence %d rings %d %s", r.RunKey, r.Fence, r.Rings, r.State))
	}
	slices.Sort(out) // who is first among the repositories is not compared
	return strings.Join(out, ", ")
}

// verdict names an error so that the two can be compared.
func (s *side) verdict(err error) string {
	var action *store.ActionError
	var taken *store.FingerprintTakenError
	var no *store.FingerprintRefusedError
	var same *store.IncidentError
	var over *store.CapError
	var told *store.SuggestionTakenError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, store.ErrFenced):
		return "fenced"
	case errors.Is(err, store.ErrNotFound):
		return "not found"
	case errors.As(err, &action):
		return action.Reason
	case errors.As(err, &taken):
		return "taken by " + s.key(taken.Holder.RunID)
	case errors.As(err, &same):
		return "incident of " + s.key(same.Holder.RunID)
	case errors.As(err, &over):
		return fmt.Sprint("capped ", over.Standing, over.Recent, over.Full, int(over.After.Round(time.Minute).Minutes()))
	case errors.As(err, &told):
		return "told by " + s.key(told.Holder.RunID)
	case errors.As(err, &no):
		return "refused by " + no.PRURL
	default:
		return "error"
	}
}

func failure(repo, commit int) ci.Failure {
	name := fmt.Sprint("r", repo)
	return ci.Failure{
		Provider: "github", Repository: ci.Repository{ID: fmt.Sprint(repo), Owner: "acme", Name: name}, Branch: "main",
		Commit: fmt.Sprintf("%040d", commit), Workflow: "ci.yml",
	}
}

func orDash[T any](p *T) string {
	if p == nil {
		return "-"
	}
	return fmt.Sprint(*p)
}

// memDump writes what dump selects.
func memDump(m *memstore.Store, now time.Time) []string {
	d := m.Dump()
	minutes := func(at *time.Time) string {
		if at == nil {
			return "-"
		}
		return fmt.Sprint(int(at.Sub(now).Round(time.Minute).Minutes()))
	}
	keys := map[int64]string{}
	for _, r := range d.Runs {
		keys[r.ID] = r.RunKey
	}
	follows := func(r db.Run) string {
		if r.Follows == nil {
			return "-"
		}
		return keys[*r.Follows]
	}
	var out []string
	for _, r := range d.Runs {
		out = append(out, fmt.Sprintf("run %s %s(%s) fence %d attempts %d transient %d rings %d generation %d forgiven %d holder %s fingerprint %s due %s lease %s began %s over %s ended %t %s follows %s",
			r.RunKey, r.State, r.Reason, r.Fence, r.AttemptCount, r.TransientCount, r.Rings, r.Generation, r.AttemptsForgiven, orDash(r.Holder), orDash(r.Fingerprint),
			minutes(r.NotBefore), minutes(r.LeaseExpiresAt), minutes(r.AttemptStartedAt), minutes(r.AttemptEndedAt), r.EndedAt != nil, r.Explanation, follows(r)))
	}
	for _, a := range d.Attempts {
		out = append(out, fmt.Sprintf("attempt %s %d number %s %s %s", keys[a.RunID], a.Fence, orDash(a.Number), orDash(a.Outcome), a.Reason))
	}
	for _, p := range d.Publications {
		out = append(out, fmt.Sprintf("publication %s %d %s(%s) %s %s %s %s", keys[p.RunID], p.Generation, p.State, p.Reason, orDash(p.PrUrl), p.PrState, p.Fingerprint, p.CommitID))
	}
	for _, n := range d.Suggestions {
		out = append(out, fmt.Sprintf("suggestion %s %d %s(%s) %s %s %s", keys[n.RunID], n.Generation, n.State, n.Reason, n.PrUrl, orDash(n.CommentID), n.Fingerprint))
	}
	for _, x := range d.Deliveries {
		key := "-"
		if x.RunID != nil {
			key = keys[*x.RunID]
		}
		out = append(out, fmt.Sprintf("delivery %s %s(%s) %s", x.DeliveryID, x.Outcome, x.Reason, key))
	}
	for _, f := range d.Refusals {
		out = append(out, fmt.Sprintf("refusal %s %s %s %t", f.Fingerprint, keys[f.RunID], f.PrUrl, f.LiftedAt != nil))
	}
	for _, a := range d.Actions {
		out = append(out, fmt.Sprintf("action %s %s %s", keys[a.RunID], a.Action, a.BeforeState))
	}
	external := map[int64]string{}
	for _, p := range d.Repositories {
		external[p.ID] = p.ExternalID
		if p.RepositorySettings != (store.RepositorySettings{}) {
			out = append(out, fmt.Sprintf("repository %s paused %t limit %d mode %s", p.ExternalID, p.PausedAt != nil, p.ConcurrencyLimit, cmp.Or(p.Mode, "-")))
		}
	}
	for _, o := range d.Operations {
		out = append(out, fmt.Sprintf("operation %s %s %s %s", o.Operation, external[*o.RepositoryID], o.Who, o.Why))
	}
	for _, w := range d.Switches {
		out = append(out, fmt.Sprintf("switch %s %s %t", external[w.RepositoryID], w.OffBy, w.OnAt != nil))
	}
	return out
}

// both does one thing on each side and compares what comes of it.
func (r *rig) both(rt *rapid.T, what string, f func(s *side) string) {
	want, got := f(r.real), f(r.double)
	if want != got {
		rt.Fatalf("%s: the store says %q, the double %q", what, want, got)
	}
	rt.Logf("%s: %s", what, got)
}

// real is the schedule's repair: the limit changes between two rounds here, which it does not in life.
func (s *side) real() interface {
	MendTurns(ctx context.Context, perRepository int) (int64, error)
} {
	m, _ := s.judge.(interface {
		MendTurns(ctx context.Context, perRepository int) (int64, error)
	})
	return m
}
