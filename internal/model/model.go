// Package model asks a language model for a fix plan.
//
// It promises:
//   - A model proposes and decides nothing: what comes back is a plan that was read strictly, and nothing else.
//   - Logs and files are data to it. They stand between marks that nobody can guess, cleaned of what could pass for a
//     mark or an instruction of the format, bounded in size, and without secrets. A question that still holds a known
//     secret is not sent.
//   - No call is made before the most that it can cost was taken out of the budgets, in PostgreSQL.
//   - What was asked and answered is kept by its digest, so that a run can be played again without the model.
//   - The key goes to the configured address alone, and stands in no error, record or log.
package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
)

// Why a model gives no plan. The set is closed; ReasonBudget is the store's.
const (
	// ReasonRefused: the model would not answer.
	ReasonRefused = "model_refused"
	// ReasonTruncated: the answer was longer than allowed.
	ReasonTruncated = "model_truncated"
	// ReasonSecret: the question held a known secret and was not sent.
	ReasonSecret = "model_secret"
	// ReasonBadPlan: the answer was no valid plan, also after it was told why.
	ReasonBadPlan = "model_bad_plan"
	// ReasonNotRecorded: in replay, the question has no recorded answer.
	ReasonNotRecorded = "model_not_recorded"
	// ReasonTooLong: the question is longer than the model takes.
	ReasonTooLong = "model_too_long"
	// ReasonUnauthorized, ReasonForbidden, ReasonNotFound, ReasonBadRequest: the API refuses the call for good.
	ReasonUnauthorized = "model_unauthorized"
	ReasonForbidden    = "model_forbidden"
	ReasonNotFound     = "model_not_found"
	ReasonBadRequest   = "model_bad_request"
	// ReasonQuota: the account has no credit left.
	ReasonQuota = "model_quota"
	// ReasonNoContext: there is nothing to ask about.
	ReasonNoContext = "model_no_context"
)

// Who says a message.
const (
	roleUser      = "user"
	roleAssistant = "assistant"
)

// Message is one turn of a conversation.
type Message struct {
	Role string `json:"role"`
	Text string `json:"text"`
}

// Request is a question in no API's words. Its JSON is what is recorded.
type Request struct {
	API      string          `json:"api"`
	Model    string          `json:"model"`
	System   string          `json:"system"`
	Messages []Message       `json:"messages"`
	Schema   json.RawMessage `json:"schema"`
	// MaxTokens bounds the answer. Temperature is always 0.
	MaxTokens int `json:"max_tokens"`
	Seed      int `json:"seed"`

	// mark stands in the messages, and is different in each question; the record has a fixed word in its place.
	mark string
}

// Stop says why a model ended its answer.
type Stop string

// The ways that an answer ends.
const (
	StopEnd       Stop = "end"
	StopRefused   Stop = "refused"
	StopTruncated Stop = "truncated"
)

// Usage is what a call took, as the provider says. Known is false when it doesn't.
type Usage struct {
	Input  int64 `json:"input_tokens"`
	Output int64 `json:"output_tokens"`
	Known  bool  `json:"known"`
}

// Answer is what a model said.
type Answer struct {
	Text  string `json:"text"`
	Stop  Stop   `json:"stop"`
	Usage Usage  `json:"usage"`
	// Model is the name that the provider says has answered.
	Model string `json:"model,omitempty"`
}

// markWord stands for a question's mark in its record.
const markWord = "the-mark-of-this-question"

// canonical is the request as it is recorded, and its digest: sorted keys, no blanks, the mark replaced. The same
// question has the same digest whatever its mark.
func (r Request) canonical() (text, digest string, err error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return "", "", err
	}
	var plain any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(&plain); err != nil {
		return "", "", err
	}
	raw, err = json.Marshal(plain) // maps are written in the order of their keys
	if err != nil {
		return "", "", err
	}
	text = string(raw)
	if r.mark != "" {
		text = strings.ReplaceAll(text, r.mark, markWord)
	}
	return text, digestOf(text), nil
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// size is the most tokens that a request can take: no tokenizer makes more than one of a byte, and the APIs add some of
// their own for roles and tools.
func (r Request) size() int64 {
	n := len(r.System) + len(r.Schema) + overhead
	for _, m := range r.Messages {
		n += len(m.Text) + overheadPerMessage
	}
	return int64(n) + int64(r.MaxTokens)
}

const (
	overhead           = 2048
	overheadPerMessage = 64
)

// Evidence says what was asked and what it cost.
type Evidence struct {
	API   string `json:"api"`
	Model string `json:"model"`
	// Request and Answer are the digests of the last question and of its answer.
	Request string `json:"request,omitempty"`
	Answer  string `json:"answer,omitempty"`
	// Calls are the questions, Replayed those of them that a record answered, and Repairs the answers that were no plan.
	Calls    int `json:"calls"`
	Replayed int `json:"replayed"`
	Repairs  int `json:"repairs"`
	// Tokens and CostMillionths are what the calls of this time took; where the provider did not say, the most.
	Tokens         int64 `json:"tokens"`
	CostMillionths int64 `json:"cost_millionths"`
	// Assumed says that a part of them was not told by the provider.
	Assumed bool `json:"assumed,omitempty"`
}

var errNoPlan = errors.New("the answer is empty")
