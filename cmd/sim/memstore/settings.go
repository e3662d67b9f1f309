package memstore

import (
	"context"
	"errors"

	"github.com/sre-agent/sre-agent/cmd/sim/guard"
	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

var errNobody = errors.New("what is done to a repository needs to say who and why")

// ChangeRepository is store.Store.ChangeRepository.
func (s *Store) ChangeRepository(_ context.Context, id int64, operation string, a store.Actor, change func(*store.RepositorySettings)) (before, after store.RepositorySettings, err error) {
	defer s.lock()()
	before = s.settings[id]
	after = before
	change(&after)
	if a.Who == "" || a.Why == "" {
		return before, after, errNobody
	}
	s.settings[id] = after
	s.operations = append(s.operations, db.Operation{Operation: operation, RepositoryID: ptr(id), Who: a.Who, Why: a.Why})
	return before, after, nil
}

// RepositoryMode is store.Store.RepositoryMode.
func (s *Store) RepositoryMode(_ context.Context, id int64) (string, error) {
	defer s.lock()()
	if s.off[guard.StoreMode] {
		return "", nil
	}
	return s.settings[id].Mode, nil
}

func (s *Store) paused(repo int64) bool {
	return s.settings[repo].PausedAt != nil && s.off.On(guard.StorePaused)
}

// slots is repository_slots: how many runs of a repository may be active at once.
func (s *Store) slots(repo int64, limit int) int {
	if s.paused(repo) {
		return 0
	}
	if own := s.settings[repo].ConcurrencyLimit; own > 0 {
		limit = min(limit, own)
	}
	return limit
}

// Switch is store.Store.Switch.
func (s *Store) Switch(_ context.Context, repo int64, on bool, by store.Actor) (changed bool, err error) {
	defer s.lock()()
	if by.Who == "" || by.Why == "" {
		return false, &store.ActionError{Reason: "no_reason_given"}
	}
	now, open := s.now(), s.switchedOff(repo)
	if on == (open == nil) {
		return false, nil
	}
	operation := store.OpOff
	if on {
		operation = store.OpOn
	}
	s.operations = append(s.operations, db.Operation{Operation: operation, RepositoryID: ptr(repo), Who: by.Who, Why: by.Why})
	if on {
		open.OnAt, open.OnBy, open.OnWhy = ptr(now), by.Who, by.Why
		return true, nil
	}
	s.switches = append(s.switches, &db.Switch{RepositoryID: repo, OffAt: now, OffBy: by.Who, OffWhy: by.Why})
	for _, r := range s.runs {
		if r.RepositoryID == repo && (r.State == string(run.Waiting) || r.State == string(run.Ready)) {
			end(r, run.Cancelled, store.ReasonRepositoryOff, "the repository was switched off by "+by.Who+": "+by.Why, now)
			r.Fence++
		}
	}
	return true, nil
}

// switchedOff is the switch that keeps a repository off, or nil.
func (s *Store) switchedOff(repo int64) *db.Switch {
	for _, w := range s.switches {
		if w.RepositoryID == repo && w.OnAt == nil {
			return w
		}
	}
	return nil
}

// SwitchedOff is store.Store.SwitchedOff.
func (s *Store) SwitchedOff(_ context.Context, id int64) (*db.Switch, error) {
	defer s.lock()()
	r, err := s.row(id)
	if err != nil || s.off[guard.StoreSwitch] {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	if w := s.switchedOff(r.RepositoryID); w != nil {
		return ptr(*w), nil
	}
	return nil, nil //nolint:nilnil // nobody is an answer
}

// offFor says whether a failure's repository is switched off.
func (s *Store) offFor(provider, external string) bool {
	for _, p := range s.repos {
		if p.Provider == provider && p.ExternalID == external {
			return s.off.On(guard.StoreSwitch) && s.switchedOff(p.ID) != nil
		}
	}
	return false
}
