package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/store/db"
)

// RepositorySettings is what operators have set for one repository; what is zero is as the knobs and the repository's own
// file say. They can only ask for less than those allow.
type RepositorySettings struct {
	// PausedAt says since when failures are recorded and wait, and nothing is published.
	PausedAt *time.Time `json:"paused_at,omitempty"`
	// ConcurrencyLimit bounds the runs that are worked on at once.
	ConcurrencyLimit int `json:"concurrency_limit,omitempty"`
	// RatePerMinute bounds the intake.
	RatePerMinute int `json:"rate_per_minute,omitempty"`
	// Mode is shadow, suggest or pr.
	Mode string `json:"mode,omitempty"`
}

// The operations that are recorded.
const (
	OpPause  = "repository.pause"
	OpResume = "repository.resume"
	OpLimits = "repository.limits"
	OpMode   = "repository.mode"
	OpOff    = "repository.off"
	OpOn     = "repository.on"
	OpPrune  = "prune"
)

// Repository is a repository with its settings and how much of it is open.
type Repository = db.ListRepositoriesRow

// Operation is one thing that an operator did, which is not about one run.
type Operation = db.ListOperationsRow

// RepositoryRef is a repository by its number and provider.
type RepositoryRef = db.FindRepositoriesRow

// Repositories lists repositories, the paused ones first and then those with most that waits; with onlySet those that
// have settings of their own.
func (s *Store) Repositories(ctx context.Context, onlySet bool, n int32) ([]Repository, error) {
	return s.q.ListRepositories(ctx, db.ListRepositoriesParams{OnlySet: onlySet, MaxRows: n})
}

// FindRepositories returns the repositories of a name, of one provider or (with "") of any.
func (s *Store) FindRepositories(ctx context.Context, provider, owner, name string) ([]RepositoryRef, error) {
	return s.q.FindRepositories(ctx, db.FindRepositoriesParams{Provider: provider, Owner: owner, Name: name})
}

// ChangeRepository changes what is set for a repository, and records who did it and why, in one transaction. Once it
// returns no claim is judged by the settings as they were.
func (s *Store) ChangeRepository(ctx context.Context, id int64, operation string, a Actor, change func(*RepositorySettings)) (before, after RepositorySettings, err error) {
	err = s.inTx(ctx, operation, func(q *db.Queries) error {
		if err := q.LockRepository(ctx, id); err != nil {
			return err
		}
		row, err := q.GetRepositorySettings(ctx, id)
		if err != nil && !errors.Is(one(err), ErrNotFound) {
			return err
		}
		before = RepositorySettings{row.PausedAt, number(row.ConcurrencyLimit), number(row.RatePerMinute), word(row.Mode)}
		after = before
		change(&after)
		err = q.PutRepositorySettings(ctx, db.PutRepositorySettingsParams{
			RepositoryID: id, PausedAt: after.PausedAt, ConcurrencyLimit: orNull(int32(after.ConcurrencyLimit)),
			RatePerMinute: orNull(int32(after.RatePerMinute)), Mode: orNull(after.Mode),
		})
		if err != nil {
			return err
		}
		return recordOperation(ctx, q, operation, &id, a, before, after)
	})
	return before, after, err
}

func recordOperation(ctx context.Context, q *db.Queries, operation string, repository *int64, a Actor, before, after any) error {
	was, err := json.Marshal(before)
	if err != nil {
		return fmt.Errorf("record %s: %w", operation, err)
	}
	is, err := json.Marshal(after)
	if err != nil {
		return fmt.Errorf("record %s: %w", operation, err)
	}
	return q.RecordOperation(ctx, db.RecordOperationParams{
		Operation: operation, RepositoryID: repository, Who: a.Who, Why: a.Why, Before: was, After: is,
	})
}

// Operations lists the newest things that operators did, at most n.
func (s *Store) Operations(ctx context.Context, n int32) ([]Operation, error) {
	return s.q.ListOperations(ctx, n)
}

// RepositoryMode is the mode that operators have set for a repository, or "".
func (s *Store) RepositoryMode(ctx context.Context, id int64) (string, error) {
	return s.q.RepositoryMode(ctx, id)
}

// RepositoryRates are the intake rates that operators have set, by provider and the provider's id of the repository.
func (s *Store) RepositoryRates(ctx context.Context) (map[string]int, error) {
	rows, err := s.q.RepositoryRates(ctx)
	if err != nil {
		return nil, fmt.Errorf("rates of repositories: %w", err)
	}
	rates := make(map[string]int, len(rows))
	for _, r := range rows {
		rates[r.Provider+":"+r.ExternalID] = int(r.RatePerMinute)
	}
	return rates, nil
}

func number(n *int32) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

func word(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
