package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
)

const statsSince = 30 * 24 * time.Hour

func (a *app) statsCommand() *cobra.Command {
	var since string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "stats", Short: "Count what became of the pull requests", Args: cobra.NoArgs,
		Long: "Count the pull requests that were opened since a time, and what became of them, per repository and class of failure. Time\n" +
			"to green is the median from a failure's arrival to its base being green after the merge.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := sinceTime(since, time.Now())
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
				return a.stats(ctx, st, from, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&since, "since", statsSince.String(), "how far back: a duration such as 720h, a date such as 2026-01-31, or a time as RFC 3339 has it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// sinceTime reads a duration before now, a day, or a time.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, &usageError{fmt.Sprintf("--since: %q is no duration (720h), date (2026-01-31) or time (2026-01-31T12:00:00Z)", text)}
}

// statView is one line of the statistics. Times are in seconds.
type statView struct {
	Provider           string  `json:"provider"`
	Repository         string  `json:"repository"`
	Class              string  `json:"class"`
	Opened             int64   `json:"opened"`
	Open               int64   `json:"open"`
	Merged             int64   `json:"merged"`
	Closed             int64   `json:"closed"`
	Reverted           int64   `json:"reverted"`
	OwnChecksRed       int64   `json:"own_checks_red"`
	BaseGreen          int64   `json:"base_green"`
	BaseRed            int64   `json:"base_red"`
	MedianTimeToGreenS float64 `json:"median_time_to_green_seconds"`
}

func (a *app) stats(ctx context.Context, st *store.Store, since time.Time, asJSON bool) error {
	rows, err := st.Stats(ctx, since)
	if err != nil {
		return err
	}
	views := make([]statView, 0, len(rows))
	for _, r := range rows {
		views = append(views, statView{
			Provider: r.Provider, Repository: r.Owner + "/" + r.Name, Class: r.Class, Opened: r.Opened, Open: r.Open, Merged: r.Merged, Closed: r.Closed,
			Reverted: r.Reverted, OwnChecksRed: r.Red, BaseGreen: r.Green, BaseRed: r.BaseRed, MedianTimeToGreenS: r.MedianSecondsToGreen,
		})
	}
	if asJSON {
		return printJSON(a.stdout, views)
	}
	t := a.terminal()
	if len(views) == 0 {
		t.printf("no pull request was opened since %s\n", since.UTC().Format(time.RFC3339))
		return nil
	}
	t.printf("%-30s %-16s %7s %5s %7s %7s %9s %6s %s\n", "REPOSITORY", "CLASS", "OPENED", "OPEN", "MERGED", "CLOSED", "REVERTED", "CI RED", "TIME TO GREEN")
	for _, v := range views {
		green := "-"
		if v.BaseGreen > 0 {
			green = time.Duration(v.MedianTimeToGreenS * float64(time.Second)).Round(time.Second).String()
		}
		t.printf("%-30s %-16s %7d %5d %7d %7d %9d %6d %s\n", visible(v.Repository), visible(v.Class), v.Opened, v.Open, v.Merged, v.Closed, v.Reverted, v.OwnChecksRed, green)
	}
	return nil
}
