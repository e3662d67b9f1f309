package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// Ledger keeps budgets and records; it is PostgreSQL.
type Ledger interface {
	ReserveModelCall(ctx context.Context, c store.ModelCall, b store.ModelBudget) (int64, error)
	SettleModelCall(ctx context.Context, id int64, m store.ModelSettlement) error
	ModelExchange(ctx context.Context, digest string) (store.ModelExchange, error)
}

// client makes one call at a time: guarded, budgeted, recorded. It is safe for concurrent use.
type client struct {
	cfg      config.Model
	endpoint *endpoint
	guard    *guard
	ledger   Ledger
	price    config.ModelPrice
	counters *telemetry.Counters
	log      *slog.Logger
}

// subject is whose budget a call is on.
type subject struct{ runID, repositoryID int64 }

// ask answers a request from the records or by the model, and adds to the evidence.
//
// If the process dies before the reservation, nothing has happened. After it, or while the model answers, or when the
// reply is lost, nobody settles: the reservation counts with its most for a day, and the next try reserves anew. Once
// settled, the answer is recorded too, and the next try finds it and asks nobody.
func (c *client) ask(ctx context.Context, who subject, r Request, e *Evidence) (Answer, error) {
	text, digest, err := r.canonical()
	if err != nil {
		return Answer{}, fmt.Errorf("encode the question: %w", err)
	}
	e.Calls++
	e.Request, e.Answer = digest, ""
	// The record's text is JSON, and JSON hides some characters: the plain texts are looked at too.
	if c.guard.holds(text) || c.guard.holds(r.plain()) {
		c.counters.ModelCalled(ctx, telemetry.ModelSecret)
		return Answer{}, fault.Permf(ReasonSecret, "the question to the model would have held a secret; it was not sent")
	}
	answer, found, err := c.recorded(ctx, digest)
	if err != nil {
		return Answer{}, err
	}
	if found {
		e.Replayed++
		e.Answer = digestOf(answer.Text)
		c.counters.ModelCalled(ctx, telemetry.ModelReplayed)
		return answer, nil
	}
	if c.cfg.ModelMode == config.ModelReplay {
		return Answer{}, fault.Permf(ReasonNotRecorded, "no answer to the question %s is recorded", digest)
	}
	return c.call(ctx, who, r, text, digest, e)
}

// plain is everything of a request that others wrote.
func (r Request) plain() string {
	var b strings.Builder
	for _, m := range r.Messages {
		b.WriteString(m.Text + "\n")
	}
	return b.String()
}

func (c *client) recorded(ctx context.Context, digest string) (Answer, bool, error) {
	x, err := c.ledger.ModelExchange(ctx, digest)
	if errors.Is(err, store.ErrNotFound) {
		return Answer{}, false, nil
	}
	if err != nil {
		return Answer{}, false, err
	}
	var a Answer
	if err := json.Unmarshal([]byte(x.Answer), &a); err != nil {
		return Answer{}, false, fmt.Errorf("the record of %s can't be read: %w", digest, err)
	}
	return a, true, nil
}

// settleTime is how long the settling may take once the call's own context has ended.
const settleTime = 15 * time.Second

func (c *client) call(ctx context.Context, who subject, r Request, text, digest string, e *Evidence) (Answer, error) {
	reserved := most(c.price, r.size())
	id, err := c.ledger.ReserveModelCall(ctx, store.ModelCall{
		RunID: who.runID, RepositoryID: who.repositoryID, Model: r.Model, Request: digest, Most: reserved,
	}, budget(c.cfg))
	if err != nil {
		if reason, _ := fault.Reason(err); reason == store.ReasonModelBudget {
			c.counters.ModelCalled(ctx, telemetry.ModelBudget)
		}
		return Answer{}, err
	}
	answer, askErr := c.endpoint.ask(ctx, r)
	if r.mark != "" {
		answer.Text = strings.ReplaceAll(answer.Text, r.mark, markWord)
	}
	s := store.ModelSettlement{Outcome: store.ModelUnknown, KeepDays: c.cfg.ModelKeepDays}
	amount, known := spent(c.price, answer.Usage)
	switch {
	case askErr == nil && known:
		s.Outcome, s.Spent = store.ModelAnswered, amount
	case free(askErr):
		s.Outcome, amount, known = store.ModelFailed, store.ModelAmount{}, true
	default:
		amount = reserved
	}
	if askErr == nil {
		if s.Exchange, err = exchange(digest, text, answer); err != nil {
			return Answer{}, err
		}
		e.Answer = digestOf(answer.Text)
	}
	e.Tokens, e.CostMillionths, e.Assumed = e.Tokens+amount.Tokens, e.CostMillionths+amount.Cost, e.Assumed || !known
	c.count(ctx, answer, askErr, amount, known)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if err := c.ledger.SettleModelCall(settling, id, s); err != nil {
		c.log.WarnContext(ctx, "a model's call is not settled: it counts with its most for a day", "call", id, "error", err)
		if askErr == nil {
			// Without its record the run could not be played again, so the answer is not used.
			return Answer{}, err
		}
	}
	return answer, askErr
}

func exchange(digest, request string, a Answer) (*store.ModelExchange, error) {
	raw, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode the model's answer: %w", err)
	}
	return &store.ModelExchange{Digest: digest, Request: request, Answer: string(raw)}, nil
}

func (c *client) count(ctx context.Context, a Answer, err error, amount store.ModelAmount, reported bool) {
	outcome := telemetry.ModelAnswered
	reason, permanent := fault.Reason(err)
	switch {
	case reason == ReasonTruncated || err == nil && a.Stop == StopTruncated:
		outcome = telemetry.ModelTruncated
	case permanent:
		outcome = telemetry.ModelRejected
	case err != nil:
		outcome = telemetry.ModelTransient
	case a.Stop == StopRefused:
		outcome = telemetry.ModelRefused
	}
	c.counters.ModelCalled(ctx, outcome)
	if amount.Tokens > 0 {
		c.counters.ModelSpent(ctx, amount.Tokens, amount.Cost, reported)
	}
}
