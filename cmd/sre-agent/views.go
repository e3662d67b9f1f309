package main

import (
	"encoding/json"
	"time"

	"github.com/sre-agent/sre-agent/internal/ci"
	"github.com/sre-agent/sre-agent/internal/store"
)

// The views are what --json prints: names that scripts may rely on.

type runView struct {
	ID     int64  `json:"id"`
	RunKey string `json:"run_key"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// BlockedReason is the reason again, for a run that is blocked.
	BlockedReason *string    `json:"blocked_reason,omitempty"`
	Explanation   string     `json:"explanation,omitempty"`
	Attempts      int32      `json:"attempt_count"`
	Fence         int64      `json:"fence"`
	Fingerprint   *string    `json:"fingerprint,omitempty"`
	Failure       ci.Failure `json:"failure"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	NotBefore     *time.Time `json:"not_before,omitempty"`
	EndedAt       *time.Time `json:"ended_at,omitempty"`
}

type historyView struct {
	runView
	Deliveries     []deliveryView   `json:"deliveries"`
	AttemptHistory []attemptView    `json:"attempt_history"`
	Actions        []actionView     `json:"actions"`
	Fix            *fixView         `json:"fix,omitempty"`
	Publication    *publicationView `json:"publication,omitempty"`
	Suggestion     *suggestionView  `json:"suggestion,omitempty"`
	Rerun          *rerunView       `json:"rerun,omitempty"`
	// Follows is the run whose pull request stands for this one's trouble too, and Followers are those that follow this one.
	Follows   *int64  `json:"follows,omitempty"`
	Followers []int64 `json:"followers,omitempty"`
}

type deliveryView struct {
	DeliveryID string    `json:"delivery_id"`
	Event      string    `json:"event"`
	Outcome    string    `json:"outcome"`
	Reason     string    `json:"reason,omitempty"`
	ReceivedAt time.Time `json:"received_at"`
}

type attemptView struct {
	Number    *int32          `json:"number,omitempty"`
	Fence     int64           `json:"fence"`
	Holder    string          `json:"holder"`
	StartedAt time.Time       `json:"started_at"`
	EndedAt   *time.Time      `json:"ended_at,omitempty"`
	Outcome   *string         `json:"outcome,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Evidence  json.RawMessage `json:"evidence"`
}

type actionView struct {
	At           time.Time `json:"at"`
	Action       string    `json:"action"`
	Who          string    `json:"who"`
	Why          string    `json:"why"`
	BeforeState  string    `json:"before_state"`
	BeforeReason string    `json:"before_reason,omitempty"`
}

type fixView struct {
	Fixer      string    `json:"fixer"`
	Title      string    `json:"title"`
	BaseCommit string    `json:"base_commit"`
	Digest     string    `json:"digest"`
	Diff       string    `json:"diff"`
	CreatedAt  time.Time `json:"created_at"`
}

type publicationView struct {
	State      string    `json:"state"`
	Reason     string    `json:"reason,omitempty"`
	Branch     string    `json:"branch"`
	BaseBranch string    `json:"base_branch"`
	CommitID   string    `json:"commit_id"`
	Digest     string    `json:"digest"`
	Number     *int64    `json:"number,omitempty"`
	URL        *string   `json:"url,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

type suggestionView struct {
	State     string    `json:"state"`
	Reason    string    `json:"reason,omitempty"`
	Number    int64     `json:"number"`
	URL       string    `json:"url"`
	Digest    string    `json:"digest"`
	CommentID *string   `json:"comment_id,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

type rerunView struct {
	Why       string    `json:"why"`
	State     string    `json:"state"`
	Reason    string    `json:"reason,omitempty"`
	Asks      int32     `json:"asks"`
	UpdatedAt time.Time `json:"updated_at"`
}

func viewOfRun(r store.Run) runView {
	return runView{
		ID: r.ID, RunKey: r.RunKey, State: r.State, Reason: r.Reason, BlockedReason: r.BlockedReason, Explanation: r.Explanation, Attempts: r.AttemptCount,
		Fence: r.Fence, Fingerprint: r.Fingerprint, Failure: r.Failure, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		NotBefore: r.NotBefore, EndedAt: r.EndedAt,
	}
}

func viewOfHistory(h store.History) historyView {
	v := historyView{runView: viewOfRun(h.Run), Deliveries: []deliveryView{}, AttemptHistory: []attemptView{}, Actions: []actionView{}}
	for _, d := range h.Deliveries {
		v.Deliveries = append(v.Deliveries, deliveryView{d.DeliveryID, d.Event, d.Outcome, d.Reason, d.ReceivedAt})
	}
	for _, at := range h.Attempts {
		v.AttemptHistory = append(v.AttemptHistory, attemptView{
			at.Number, at.Fence, at.Holder, at.StartedAt, at.EndedAt, at.Outcome, at.Reason, at.Evidence,
		})
	}
	for _, ac := range h.Actions {
		v.Actions = append(v.Actions, actionView{ac.At, ac.Action, ac.Who, ac.Why, ac.BeforeState, ac.BeforeReason})
	}
	if f := h.Fix; f != nil {
		v.Fix = &fixView{f.Fixer, f.Title, f.BaseCommit, f.Digest, string(f.Diff), f.CreatedAt}
	}
	v.Follows, v.Followers = h.Run.Follows, h.Followers
	if n := h.Suggestion; n != nil {
		v.Suggestion = &suggestionView{n.State, n.Reason, n.PrNumber, n.PrUrl, n.Digest, n.CommentID, n.CreatedAt, n.UpdatedAt}
	}
	if r := h.Rerun; r != nil {
		v.Rerun = &rerunView{r.Why, r.State, r.Reason, r.Asks, r.UpdatedAt}
	}
	if p := h.Publication; p != nil {
		v.Publication = &publicationView{
			p.State, p.Reason, p.Branch, p.BaseBranch, p.CommitID, p.Digest, p.PrNumber, p.PrUrl, p.CreatedAt, p.UpdatedAt,
		}
	}
	return v
}
