package redeliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sre-agent/sre-agent/internal/fault"
)

// Records says which deliveries have a record.
type Records interface {
	KnownDeliveries(ctx context.Context, provider string, ids []string) (map[string]bool, error)
}

// Round looks at every hook once.
type Round struct {
	Hooks   []Hook
	Records Records
	Limits  Limits
	Now     func() time.Time
	// DryRun only looks.
	DryRun bool
	// Pause waits between two requests; nil means on the clock.
	Pause func(context.Context, time.Duration) error
}

// Report is what was found at one hook.
type Report struct {
	Provider string `json:"provider"`
	Hook     string `json:"hook"`
	// Attempts is how many the provider lists; Whole is false when it has more of them than were read.
	Attempts int  `json:"attempts"`
	Whole    bool `json:"whole"`
	// Deliveries are those that never succeeded, the oldest first, and Counts how many of them have each verdict.
	Deliveries []*Case        `json:"deliveries"`
	Counts     map[string]int `json:"counts"`
	// Error is why the hook's round ended early.
	Error string `json:"error,omitempty"`
	Err   error  `json:"-"`
}

// Window is how far back is looked: as far as GitHub.com lists deliveries.
const Window = 72 * time.Hour

const (
	knownBatch = 500
	// roundMinutes is how long one hook may take in a round.
	roundMinutes = 10
	// mostRefused ends a hook's round: when so many are refused one after the other, something else is wrong.
	mostRefused = 5
)

// Run asks each hook's provider for what never arrived since a time.
func (r *Round) Run(ctx context.Context, since time.Time) []Report {
	asked := map[string]bool{} // across hooks: an organisation's and its repository's see the same delivery
	reports := make([]Report, 0, len(r.Hooks))
	for _, h := range r.Hooks {
		rep := Report{Provider: h.Provider(), Hook: h.Name(), Deliveries: []*Case{}, Counts: map[string]int{}}
		if err := r.hook(ctx, h, since, asked, &rep); err != nil {
			rep.Err, rep.Error = err, err.Error()
		}
		for _, c := range rep.Deliveries {
			if c.Verdict == "" {
				c.Verdict = Later
			}
			rep.Counts[c.Verdict]++
		}
		reports = append(reports, rep)
	}
	return reports
}

func (r *Round) hook(ctx context.Context, h Hook, since time.Time, asked map[string]bool, rep *Report) error {
	g := newGather()
	whole, err := h.Attempts(ctx, since, func(a Attempt) {
		if fit(a.Delivery) {
			g.add(a)
		}
	})
	rep.Attempts, rep.Whole, rep.Deliveries = g.attempts, whole && err == nil, append(rep.Deliveries, g.failed()...)
	if err != nil {
		return fmt.Errorf("list deliveries: %w", err)
	}
	known, err := r.known(ctx, h.Provider(), rep.Deliveries)
	if err != nil {
		return err
	}
	return r.ask(ctx, h, rep.Deliveries, known, asked)
}

func (r *Round) known(ctx context.Context, provider string, cases []*Case) (map[string]bool, error) {
	known := map[string]bool{}
	for from := 0; from < len(cases); from += knownBatch {
		var ids []string
		for _, c := range cases[from:min(from+knownBatch, len(cases))] {
			ids = append(ids, c.Delivery)
		}
		some, err := r.Records.KnownDeliveries(ctx, provider, ids)
		if err != nil {
			return nil, fmt.Errorf("look for records: %w", err)
		}
		for id := range some {
			known[id] = true
		}
	}
	return known, nil
}

// ask goes through the cases, the oldest first. What it leaves without a verdict is for later.
func (r *Round) ask(ctx context.Context, h Hook, cases []*Case, known, asked map[string]bool) error {
	asks, refused, most := 0, 0, min(r.Limits.PerRound, roundMinutes*h.PerMinute())
	for _, c := range cases {
		key := h.Provider() + "/" + c.Delivery
		c.Verdict = r.Limits.judge(c, known[c.Delivery], r.Now())
		switch {
		case c.Verdict != "":
			continue
		case asked[key]:
			c.Verdict = Elsewhere
			continue
		case asks == most:
			c.Verdict = Later
			continue
		case r.DryRun:
			c.Verdict, asked[key] = WouldAsk, true
			asks++
			continue
		}
		if asks > 0 {
			if err := r.pause(ctx, time.Minute/time.Duration(h.PerMinute())); err != nil {
				return err
			}
		}
		asks++
		err := h.Ask(ctx, c.newest)
		var permanent *fault.Permanent
		switch {
		case err == nil:
			c.Verdict, asked[key], refused = Asked, true, 0
		case errors.As(err, &permanent):
			c.Verdict, c.Detail = Refused, err.Error()
			if refused++; refused == mostRefused {
				return fmt.Errorf("%d redeliveries were refused one after the other: %w", refused, err)
			}
		default:
			return fmt.Errorf("ask for a redelivery: %w", err)
		}
	}
	return nil
}

// pause keeps below the provider's limit on requests that make something.
func (r *Round) pause(ctx context.Context, d time.Duration) error {
	if r.Pause != nil {
		return r.Pause(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
