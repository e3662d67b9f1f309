package memstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// CancelRun is store.Store.CancelRun.
func (s *Store) CancelRun(_ context.Context, id int64, a store.Actor) (store.Run, error) {
	return s.act(id, "cancel", a, func(r *db.Run) error {
		switch {
		case run.State(r.State).Ended():
			return &store.ActionError{Reason: "ended"}
		case run.State(r.State) == run.Publishing:
			return &store.ActionError{Reason: "publishing"}
		}
		if p := s.byPub[generation{id, r.Generation}]; p != nil && p.State == store.PubPushed {
			return &store.ActionError{Reason: "publishing"}
		}
		now := s.now()
		for _, at := range s.attempts {
			if at.RunID == id && at.EndedAt == nil {
				at.EndedAt, at.Outcome, at.Reason = ptr(now), ptr("cancelled"), "cancelled"
			}
		}
		for _, p := range s.pubs {
			if p.RunID == id && (p.State == store.PubIntended || p.State == store.PubPushed) {
				p.State, p.Reason, p.UpdatedAt = store.PubRefused, "cancelled", now
			}
		}
		for key, n := range s.suggestions {
			if key.run == id && n.State == store.SuggestionIntended {
				n.State, n.Reason, n.UpdatedAt = store.SuggestionRefused, "cancelled", now
			}
		}
		end(r, run.Cancelled, "cancelled", "cancelled by "+a.Who+": "+a.Why, now)
		r.Fence++
		return nil
	})
}

// RetryRun is store.Store.RetryRun.
func (s *Store) RetryRun(_ context.Context, id int64, a store.Actor) (store.Run, error) {
	return s.act(id, "retry", a, s.tryAgain)
}

// UnblockRun is store.Store.UnblockRun.
func (s *Store) UnblockRun(_ context.Context, id int64, a store.Actor) (store.Run, error) {
	return s.act(id, "unblock", a, func(r *db.Run) error {
		var refusal *db.Refusal
		if r.Fingerprint != nil {
			refusal = s.refusals[*r.Fingerprint]
		}
		if refusal != nil && refusal.LiftedAt != nil {
			refusal = nil
		}
		if refusal == nil && run.State(r.State) != run.Blocked {
			return &store.ActionError{Reason: "not_blocked"}
		}
		if err := s.tryAgain(r); err != nil {
			return err
		}
		if refusal != nil {
			refusal.LiftedAt, refusal.LiftedBy, refusal.LiftedWhy = ptr(s.now()), a.Who, a.Why
		}
		return nil
	})
}

func (s *Store) tryAgain(r *db.Run) error {
	switch st := run.State(r.State); {
	case st == run.Published:
		return &store.ActionError{Reason: "published"}
	case st != run.Waiting && !st.Ended():
		return &store.ActionError{Reason: "active"}
	}
	now := s.now()
	if run.State(r.State) == run.Waiting && r.Reason == run.WaitPRCap {
		r.NotBefore, r.UpdatedAt = ptr(now), now
		return nil
	}
	r.State, r.Reason, r.Explanation, r.NotBefore = string(run.Waiting), run.WaitNew, "", ptr(now)
	r.Fence++
	r.Generation++
	r.AttemptsForgiven, r.TransientCount = r.AttemptCount, 0
	r.AttemptStartedAt, r.AttemptEndedAt, r.EndedAt, r.Follows, r.UpdatedAt = nil, nil, nil, nil, now
	return nil
}

func (s *Store) act(id int64, action string, a store.Actor, f func(*db.Run) error) (store.Run, error) {
	defer s.lock()()
	if a.Who == "" || a.Why == "" {
		return store.Run{}, &store.ActionError{Reason: "no_reason_given"}
	}
	r, err := s.row(id)
	if err != nil {
		return store.Run{}, err
	}
	before := *r
	if err := f(r); err != nil {
		return store.Run{}, fmt.Errorf("%s run: %w", action, err)
	}
	s.actions = append(s.actions, db.Action{
		ID: int64(len(s.actions) + 1), At: s.now(), RunID: id, Action: action, Who: a.Who, Why: a.Why, BeforeState: before.State, BeforeReason: before.Reason,
	})
	return s.view(r), nil
}

// Dump is all that is recorded, for checks: copies, in the order of their ids.
type Dump struct {
	Runs         []db.Run
	Deliveries   []db.Delivery
	Attempts     []db.Attempt
	Publications []db.Publication
	Suggestions  []db.Suggestion
	Refusals     []db.Refusal
	Actions      []db.Action
	Repositories []RepositoryDump
	Operations   []db.Operation
	Switches     []db.Switch
}

// RepositoryDump is a repository with what operators have set for it.
type RepositoryDump struct {
	db.Repository
	store.RepositorySettings
}

// Dump returns all that is recorded.
func (s *Store) Dump() Dump {
	defer s.lock()()
	d := Dump{Runs: all(s.runs), Deliveries: all(s.deliveries), Attempts: all(s.attempts), Publications: all(s.pubs), Actions: slices.Clone(s.actions)}
	d.Operations, d.Switches = slices.Clone(s.operations), all(s.switches)
	for _, p := range s.repos {
		d.Repositories = append(d.Repositories, RepositoryDump{*p, s.settings[p.ID]})
	}
	for _, n := range s.suggestions {
		d.Suggestions = append(d.Suggestions, *n)
	}
	for _, r := range s.refusals {
		d.Refusals = append(d.Refusals, *r)
	}
	slices.SortFunc(d.Refusals, func(a, b db.Refusal) int { return int(a.RunID - b.RunID) })
	return d
}

func all[T any](rows []*T) []T {
	out := make([]T, 0, len(rows))
	for _, r := range rows {
		out = append(out, *r)
	}
	return out
}

// Peek returns a run's row as it is, and its repository's number of running runs.
func (s *Store) Peek(id int64) (r db.Run, running int) {
	defer s.lock()()
	row, err := s.row(id)
	if err != nil {
		return db.Run{}, 0
	}
	return *row, s.count(row.RepositoryID, run.Running)
}

// Len is the number of runs.
func (s *Store) Len() int {
	defer s.lock()()
	return len(s.runs)
}

// Repositories are the ids of the repositories.
func (s *Store) Repositories() (ids []int64) {
	defer s.lock()()
	for _, p := range s.repos {
		ids = append(ids, p.ID)
	}
	return ids
}
