package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
)

func (a *app) deliveriesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deliveries", Short: "Look at webhook deliveries, replay them, and ask for those that never arrived", RunE: group}
	cmd.AddCommand(a.deliveriesListCommand(), a.deliveriesShowCommand(), a.deliveriesReplayCommand(), a.deliveriesReconcileCommand())
	return cmd
}

func (a *app) deliveriesListCommand() *cobra.Command {
	var outcome string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the newest recorded deliveries", Args: cobra.NoArgs,
		Long: "List the newest deliveries that the database at DATABASE_URL has a record of, and what became of them.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if outcomes := store.Outcomes(); outcome != "" && !slices.Contains(outcomes, outcome) {
				return &usageError{fmt.Sprintf("unknown outcome %q: want one of %s", outcome, strings.Join(outcomes, ", "))}
			}
			if limit < 1 || limit > 10_000 {
				return &usageError{"--limit must be from 1 to 10000"}
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
				return a.listDeliveries(ctx, st, outcome, int32(limit), asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&outcome, "outcome", "", "only deliveries that ended so: "+strings.Join(store.Outcomes(), ", "))
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// deliveryRowView is what --json prints.
type deliveryRowView struct {
	Provider string `json:"provider"`
	deliveryView
	RecordedAt time.Time `json:"recorded_at"`
	BodySHA256 string    `json:"body_sha256"`
	RunID      *int64    `json:"run_id,omitempty"`
	RunState   string    `json:"run_state,omitempty"`
	Repository string    `json:"repository,omitempty"`
}

func viewOfDeliveryRow(d store.DeliveryRow) deliveryRowView {
	return deliveryRowView{
		d.Provider,
		deliveryView{d.DeliveryID, d.Event, d.Outcome, d.Reason, d.ReceivedAt},
		d.RecordedAt, d.BodySha256, d.RunID, d.RunState,
		fullName(d.Owner, d.Name),
	}
}

func fullName(owner, name string) string {
	if owner == "" && name == "" {
		return ""
	}
	return owner + "/" + name
}

func (a *app) listDeliveries(ctx context.Context, st *store.Store, outcome string, limit int32, asJSON bool) error {
	found, err := st.Deliveries(ctx, outcome, limit)
	if err != nil {
		return err
	}
	if asJSON {
		views := make([]deliveryRowView, 0, len(found))
		for _, d := range found {
			views = append(views, viewOfDeliveryRow(d))
		}
		return printJSON(a.stdout, views)
	}
	if len(found) == 0 {
		a.terminal().printf("no deliveries\n")
		return nil
	}
	rows := [][]string{{"RECEIVED", "PROVIDER", "DELIVERY", "EVENT", "OUTCOME", "REASON", "RUN", "STATE", "REPOSITORY"}}
	for _, d := range found {
		rows = append(rows, []string{
			stamp(d.ReceivedAt), d.Provider, d.DeliveryID, d.Event, d.Outcome, d.Reason, runNumber(d.RunID), d.RunState, fullName(d.Owner, d.Name),
		})
	}
	a.terminal().table(rows)
	return nil
}

func runNumber(id *int64) string {
	if id == nil {
		return ""
	}
	return strconv.FormatInt(*id, 10)
}
