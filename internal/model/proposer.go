package model

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan"
	"github.com/sre-agent/sre-agent/internal/telemetry"
)

// Options are what a Proposer is made from.
type Options struct {
	Config config.Model
	Ledger Ledger
	// Parse reads a plan strictly, and says in its error what is wrong where; Schema is its JSON schema.
	Parse  func([]byte) (fixplan.Plan, error)
	Schema json.RawMessage
	// Secrets are the known secrets; Redact takes them, and what looks like one, out of a text.
	Secrets  []string
	Redact   func(string) string
	Counters *telemetry.Counters
	Log      *slog.Logger
	// Random makes the marks; nil means the system's.
	Random io.Reader
}

// Proposer asks a model for plans. It is safe for concurrent use.
type Proposer struct {
	client  *client
	builder builder
	parse   func([]byte) (fixplan.Plan, error)
	schema  json.RawMessage
}

// Configured says whether there is a model to ask, or records to play.
func Configured(c config.Model) bool { return c.ModelName != "" }

// New makes a Proposer for a configuration that names a model.
func New(o Options) (*Proposer, error) {
	if !Configured(o.Config) {
		return nil, errors.New("model: no model is configured")
	}
	prices, err := config.ParseModelPrices(o.Config.ModelPrices)
	if err != nil {
		return nil, fmt.Errorf("model: MODEL_PRICES: %w", err)
	}
	var words api = newOpenAI()
	if o.Config.ModelAPI == config.ModelAnthropic {
		words = newAnthropic()
	}
	key := o.Config.ModelAPIKey.Reveal()
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return &Proposer{
		client: &client{
			cfg: o.Config, endpoint: newEndpoint(o.Config.ModelURL, key, words, o.Config.ModelTimeout()),
			guard: newGuard(append(slices.Clone(o.Secrets), key)), ledger: o.Ledger, price: prices[o.Config.ModelName],
			counters: o.Counters, log: o.Log,
		},
		builder: builder{size: o.Config.ModelMaxInputBytes, redact: o.Redact, random: o.Random},
		parse:   o.Parse, schema: o.Schema,
	}, nil
}

const (
	// maxRepairs is how often a model is told what is wrong with its answer.
	maxRepairs = 2
	// maxEdit bounds the texts of a plan that is asked for as an edit, in bytes.
	maxEdit = 16 << 10
	// seed makes answers alike where a provider has one.
	seed = 1
)

// Propose asks for a plan. An error is permanent with a reason of this package or the store's, or may pass. The evidence
// is right in each case.
func (p *Proposer) Propose(ctx context.Context, in Input) (fixplan.Plan, Evidence, error) {
	e := Evidence{API: p.client.cfg.ModelAPI, Model: p.client.cfg.ModelName}
	q, err := p.builder.build(in)
	if err != nil {
		return fixplan.Plan{}, e, err
	}
	r := q.request(p.schema, in.EditOnly)
	r.API, r.Model, r.MaxTokens, r.Seed = e.API, e.Model, p.client.cfg.ModelMaxOutput, seed
	for {
		answer, err := p.client.ask(ctx, subject{in.RunID, in.RepositoryID}, r, &e)
		if err != nil {
			return fixplan.Plan{}, e, err
		}
		if err := ended(answer); err != nil {
			return fixplan.Plan{}, e, err
		}
		plan, wrong := p.read(answer.Text, in.EditOnly, q.shown)
		if wrong == nil {
			return plan, e, nil
		}
		if e.Repairs == maxRepairs {
			return fixplan.Plan{}, e, fault.Permf(ReasonBadPlan, "the model gave no valid plan in %d answers: %s", e.Repairs+1, oneLine(visible(wrong.Error()), 300))
		}
		e.Repairs++
		r.Messages = append(r.Messages, p.repair(q.mark, answer.Text, wrong)...)
	}
}

// ended says whether the model answered to the end.
func ended(a Answer) error {
	switch a.Stop {
	case StopRefused:
		return fault.Permf(ReasonRefused, "the model refused to answer: %s", oneLine(visible(a.Text), 200))
	case StopTruncated:
		return fault.Permf(ReasonTruncated, "the model's answer was longer than allowed")
	case StopEnd:
	}
	return nil
}

// read takes the plan out of an answer.
func (p *Proposer) read(text string, edits bool, shown []string) (fixplan.Plan, error) {
	if strings.Contains(text, markWord) {
		return fixplan.Plan{}, errors.New("the answer repeats the mark")
	}
	raw, err := object(text)
	if err != nil {
		return fixplan.Plan{}, err
	}
	plan, err := p.parse(raw)
	if err != nil || !edits {
		return plan, err
	}
	return plan, bounded(plan, shown)
}

// object is the JSON in an answer: all of it, or the one code fence in it.
func object(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if before, rest, fenced := strings.Cut(text, "```"); fenced && !strings.Contains(before, "{") {
		_, rest, _ = strings.Cut(rest, "\n")
		inside, after, closed := strings.Cut(rest, "```")
		if !closed || strings.Contains(after, "```") {
			return nil, errors.New("the answer has something besides one JSON object")
		}
		text = strings.TrimSpace(inside)
	}
	if text == "" {
		return nil, errNoPlan
	}
	return []byte(text), nil
}

// bounded holds an edit to its bounds.
func bounded(plan fixplan.Plan, shown []string) error {
	size := 0
	for i, op := range plan.Operations {
		switch {
		case op.Kind != fixplan.ModifyCode:
			return fmt.Errorf("operations[%d].kind is %q: only %q is allowed", i, op.Kind, fixplan.ModifyCode)
		case !slices.Contains(shown, op.File):
			return fmt.Errorf("operations[%d].file is %q, which was not shown", i, clip(op.File, 200))
		}
		size += len(op.Details.Old) + len(op.Details.New)
	}
	if size > maxEdit {
		return fmt.Errorf("the edit has %d bytes: %d are allowed", size, maxEdit)
	}
	return nil
}

// repair is the turn that tells a model what is wrong. The error may quote the answer, and that the log.
func (p *Proposer) repair(mark, answer string, wrong error) []Message {
	answer = clip(neutral(mark, p.builder.redact(answer)), p.builder.size/4)
	if strings.TrimSpace(answer) == "" {
		answer = "(no answer)"
	}
	return []Message{
		{roleAssistant, answer},
		{roleUser, "This is not accepted:\n\n" + enclosed(mark, "error", clip(p.builder.redact(wrong.Error()), 2000)) +
			"\nAnswer again with the whole JSON object, corrected, and nothing else."},
	}
}

// AgentPrompt is the question for an agent command, which takes no part in budgets and records. It is guarded like any
// other.
func AgentPrompt(in Input, size int, secrets []string, redact func(string) string) (string, error) {
	q, err := builder{size: size, redact: redact, random: rand.Reader}.build(in)
	if err != nil {
		return "", err
	}
	if newGuard(secrets).holds(q.about) {
		return "", fault.Permf(ReasonSecret, "the question to the agent would have held a secret; it was not asked")
	}
	return fmt.Sprintf(taskOfAgent, q.mark, q.about), nil
}
