package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
)

func (a *app) reposCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "repos", Short: "Look at repositories, and hold one back", RunE: group}
	cmd.AddCommand(a.reposListCommand(), a.reposPauseCommand(), a.reposResumeCommand(), a.reposLimitsCommand(), a.reposModeCommand(),
		a.reposOffCommand(), a.reposOnCommand(), a.reposHistoryCommand())
	return cmd
}

func (a *app) reposListCommand() *cobra.Command {
	var onlySet, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List repositories with what is set for them and what waits", Args: cobra.NoArgs,
		Long: "List the repositories that the database at DATABASE_URL knows: those that are off or paused first, then those with most that waits.\n" +
			"What is not set is as the knobs and the repository's own file say.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 10_000 {
				return &usageError{"--limit must be from 1 to 10000"}
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
				return a.listRepositories(ctx, st, onlySet, int32(limit), asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&onlySet, "set", false, "only those with settings of their own")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// repositoryView is what --json prints.
type repositoryView struct {
	Provider   string `json:"provider"`
	Repository string `json:"repository"`
	store.RepositorySettings
	OffAt         *time.Time `json:"off_at,omitempty"`
	OffBy         string     `json:"off_by,omitempty"`
	OffWhy        string     `json:"off_why,omitempty"`
	Waiting       int64      `json:"waiting"`
	Active        int64      `json:"active"`
	Fixed         int64      `json:"fixed"`
	OldestSeconds int64      `json:"oldest_waiting_seconds"`
}

func viewOfRepository(r store.Repository) repositoryView {
	v := repositoryView{
		Provider: r.Provider, Repository: fullName(r.Owner, r.Name), Waiting: r.Waiting, Active: r.Active, Fixed: r.Fixed, OldestSeconds: int64(r.OldestSeconds),
	}
	v.PausedAt, v.Mode, v.OffAt, v.OffBy, v.OffWhy = r.PausedAt, r.Mode, r.OffAt, r.OffBy, r.OffWhy
	if r.ConcurrencyLimit != nil {
		v.ConcurrencyLimit = int(*r.ConcurrencyLimit)
	}
	if r.RatePerMinute != nil {
		v.RatePerMinute = int(*r.RatePerMinute)
	}
	return v
}

func (a *app) listRepositories(ctx context.Context, st *store.Store, onlySet bool, limit int32, asJSON bool) error {
	found, err := st.Repositories(ctx, onlySet, limit)
	if err != nil {
		return err
	}
	views := make([]repositoryView, 0, len(found))
	for _, r := range found {
		views = append(views, viewOfRepository(r))
	}
	if asJSON {
		return printJSON(a.stdout, views)
	}
	if len(views) == 0 {
		a.terminal().printf("no repositories\n")
		return nil
	}
	rows := [][]string{{"REPOSITORY", "PROVIDER", "OFF", "PAUSED", "SLOTS", "RATE", "MODE", "WAITING", "ACTIVE", "FIXED", "OLDEST"}}
	for _, v := range views {
		rows = append(rows, []string{
			v.Repository, v.Provider, since(v.OffAt), since(v.PausedAt), set(v.ConcurrencyLimit), set(v.RatePerMinute), v.Mode,
			strconv.FormatInt(v.Waiting, 10), strconv.FormatInt(v.Active, 10), strconv.FormatInt(v.Fixed, 10), age(time.Duration(v.OldestSeconds) * time.Second),
		})
	}
	a.terminal().table(rows)
	return nil
}

func since(t *time.Time) string {
	if t == nil {
		return ""
	}
	return "since " + stamp(*t)
}

func set(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// age is a duration in its one or two largest units; nothing is "".
func age(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d <= 0:
		return ""
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return d.String()
	}
}
