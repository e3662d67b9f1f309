package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
)

func (a *app) reposHistoryCommand() *cobra.Command {
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use: "history", Short: "List what operators did to repositories and to what is kept", Args: cobra.NoArgs,
		Long: "List what operators did to repositories and to what is kept, the newest first: who, why, and what was set before and\n" +
			"after. What was done to one run is in sre-agent runs show.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 10_000 {
				return &usageError{"--limit must be from 1 to 10000"}
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
				return a.history(ctx, st, int32(limit), asJSON)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// operationView is what --json prints.
type operationView struct {
	At         time.Time       `json:"at"`
	Operation  string          `json:"operation"`
	Repository string          `json:"repository,omitempty"`
	Who        string          `json:"who"`
	Why        string          `json:"why"`
	Before     json.RawMessage `json:"before"`
	After      json.RawMessage `json:"after"`
}

func (a *app) history(ctx context.Context, st *store.Store, limit int32, asJSON bool) error {
	done, err := st.Operations(ctx, limit)
	if err != nil {
		return err
	}
	views := make([]operationView, 0, len(done))
	rows := [][]string{{"AT", "OPERATION", "REPOSITORY", "WHO", "AFTER", "WHY"}}
	for _, o := range done {
		v := operationView{At: o.At, Operation: o.Operation, Who: o.Who, Why: o.Why, Before: o.Before, After: o.After}
		if o.RepositoryID != nil {
			v.Repository = fullName(o.Owner, o.Name)
		}
		views = append(views, v)
		rows = append(rows, []string{stamp(o.At), o.Operation, v.Repository, o.Who, string(o.After), o.Why})
	}
	if asJSON {
		return printJSON(a.stdout, views)
	}
	if len(views) == 0 {
		a.terminal().printf("nothing was done yet\n")
		return nil
	}
	a.terminal().table(rows)
	return nil
}
