package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/store/db"
)

// ReasonModelBudget is why a call of a model is not made: it could cost more than what is left of a budget.
const ReasonModelBudget = "model_budget"

// ModelAmount is a number of tokens, and of millionths of the currency that the prices are in.
type ModelAmount struct{ Tokens, Cost int64 }

// ModelBudget bounds what models may cost: one run, one repository in a day, everything in a day. A day is the last 24
// hours. A cost of 0 is unbounded; tokens never are.
type ModelBudget struct{ Run, RepositoryDay, Day ModelAmount }

// ModelCall is a call that is about to be made, with the most that it can cost.
type ModelCall struct {
	RunID, RepositoryID int64
	Model               string
	// Request is the digest of what is asked.
	Request string
	Most    ModelAmount
}

// ModelExchange is a request and its answer, as JSON. Digest is "sha256:" and the hash of Request.
type ModelExchange struct{ Digest, Request, Answer string }

// ModelOutcome says how a call is settled.
type ModelOutcome string

// The outcomes. Of an unknown one the most counts.
const (
	ModelAnswered ModelOutcome = "answered"
	ModelFailed   ModelOutcome = "failed"
	ModelUnknown  ModelOutcome = "unknown"
)

// ReserveModelCall takes the most that a call can cost out of the budgets, or refuses it as ReasonModelBudget. Whoever
// dies after it leaves the reservation standing: it counts in full until it is a day old.
func (s *Store) ReserveModelCall(ctx context.Context, c ModelCall, b ModelBudget) (id int64, err error) {
	err = s.inTx(ctx, "reserve a model's call", func(q *db.Queries) error {
		if err := q.LockModelBudget(ctx); err != nil {
			return err
		}
		spent, err := q.ModelSpent(ctx, db.ModelSpentParams{RunID: c.RunID, RepositoryID: c.RepositoryID})
		if err != nil {
			return err
		}
		if err := b.allow(spent, c.Most); err != nil {
			return err
		}
		id, err = q.ReserveModelCall(ctx, db.ReserveModelCallParams{
			RunID: c.RunID, RepositoryID: c.RepositoryID, Model: c.Model, Request: c.Request, MaxTokens: c.Most.Tokens, MaxCost: c.Most.Cost,
		})
		return err
	})
	return id, err
}

// allow decides whether a call fits into what is left.
func (b ModelBudget) allow(spent db.ModelSpentRow, most ModelAmount) error {
	for _, limit := range []struct {
		whose, unit     string
		spent, max, add int64
	}{
		{"this run", "tokens", spent.RunTokens, b.Run.Tokens, most.Tokens},
		{"this repository in a day", "tokens", spent.RepositoryTokens, b.RepositoryDay.Tokens, most.Tokens},
		{"all repositories in a day", "tokens", spent.AllTokens, b.Day.Tokens, most.Tokens},
		{"this run", "millionths", spent.RunCost, orUnbounded(b.Run.Cost), most.Cost},
		{"this repository in a day", "millionths", spent.RepositoryCost, orUnbounded(b.RepositoryDay.Cost), most.Cost},
		{"all repositories in a day", "millionths", spent.AllCost, orUnbounded(b.Day.Cost), most.Cost},
	} {
		if limit.add > limit.max-limit.spent {
			return fault.Permf(ReasonModelBudget, "the budget of %s is %d %s: %d are used or reserved, and this call may take %d",
				limit.whose, limit.max, limit.unit, limit.spent, limit.add)
		}
	}
	return nil
}

func orUnbounded(cost int64) int64 {
	if cost == 0 {
		return 1<<63 - 1
	}
	return cost
}

// ModelSettlement says what a reserved call came to. Exchange is nil when there is no whole answer.
type ModelSettlement struct {
	Outcome  ModelOutcome
	Spent    ModelAmount
	Exchange *ModelExchange
	// KeepDays is how long exchanges are kept.
	KeepDays int
}

// SettleModelCall replaces a reservation by what was spent and records the exchange, both or neither. A call that is
// settled already stays as it is. Old records go, a few with each call.
func (s *Store) SettleModelCall(ctx context.Context, id int64, m ModelSettlement) error {
	return s.inTx(ctx, "settle a model's call", func(q *db.Queries) error {
		var err error
		if m.Outcome == ModelUnknown {
			_, err = q.SettleModelCallUnknown(ctx, id)
		} else {
			_, err = q.SettleModelCall(ctx, db.SettleModelCallParams{ID: id, Outcome: string(m.Outcome), Tokens: m.Spent.Tokens, Cost: m.Spent.Cost})
		}
		if err != nil {
			return err
		}
		if e := m.Exchange; e != nil {
			if err := q.RecordModelExchange(ctx, db.RecordModelExchangeParams{Digest: e.Digest, Request: e.Request, Answer: e.Answer}); err != nil {
				return err
			}
		}
		if err := q.PruneModelExchanges(ctx, int32(m.KeepDays)); err != nil {
			return err
		}
		return q.PruneModelCalls(ctx, int32(m.KeepDays))
	})
}

// ModelExchange returns what a request was answered, or ErrNotFound.
func (s *Store) ModelExchange(ctx context.Context, digest string) (ModelExchange, error) {
	row, err := s.q.GetModelExchange(ctx, digest)
	if errors.Is(one(err), ErrNotFound) {
		return ModelExchange{}, ErrNotFound
	}
	if err != nil {
		return ModelExchange{}, fmt.Errorf("read a model's exchange: %w", err)
	}
	return ModelExchange{Digest: row.Digest, Request: row.Request, Answer: row.Answer}, nil
}
