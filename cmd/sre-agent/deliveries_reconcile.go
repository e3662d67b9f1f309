package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/redeliver"
	"github.com/sre-agent/sre-agent/internal/store"
)

func (a *app) deliveriesReconcileCommand() *cobra.Command {
	var since string
	var dryRun, asJSON bool
	cmd := &cobra.Command{
		Use: "reconcile", Short: "Ask the providers for deliveries that never arrived", Args: cobra.NoArgs,
		Long: "Look at what the providers of GITHUB_HOOKS and GITLAB_HOOKS say of their deliveries, and ask them to send those again that\n" +
			"never succeeded and that the database at DATABASE_URL has no record of. A delivery keeps its id, so asking twice records it\n" +
			"once. The throttle does the same after its start and each hour.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := moment("--since", since, time.Now())
			if err != nil {
				return err
			}
			return a.reconcileDeliveries(cmd.Context(), from, dryRun, asJSON)
		},
	}
	cmd.Flags().StringVar(&since, "since", "72h", "how far back to look: a duration before now, or a time. GitHub lists three days")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be asked for, and ask for nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) reconcileDeliveries(ctx context.Context, since time.Time, dryRun, asJSON bool) error {
	cfg, err := a.operator()
	if err != nil {
		return err
	}
	hooks, err := redeliver.Hooks(cfg, time.Now)
	if err != nil {
		return &usageError{err.Error()}
	}
	if len(hooks) == 0 {
		return notSet("GITHUB_HOOKS", "repo:acme/shop:123")
	}
	return a.openStore(ctx, cfg, func(st *store.Store) error {
		// A person who asks does not want to be told that it was asked for not long ago.
		limits := redeliver.DefaultLimits()
		limits.Rest = 0
		round := redeliver.Round{Hooks: hooks, Records: st, Limits: limits, Now: time.Now, DryRun: dryRun}
		reports := round.Run(ctx, since)
		if asJSON {
			if err := printJSON(a.stdout, reports); err != nil {
				return err
			}
		} else {
			a.showReports(reports)
		}
		return failedHooks(reports)
	})
}

// openStore opens the store like withStore, and sets no bound to how long the work may take.
func (a *app) openStore(ctx context.Context, cfg *config.Config, do func(*store.Store) error) error {
	if !cfg.DatabaseURL.IsSet() {
		return notSet("DATABASE_URL", exampleDatabase)
	}
	within, cancel := context.WithTimeout(ctx, answerWithin)
	st, err := store.Open(within, cfg.DatabaseURL.Reveal(), store.Options{MaxConns: 2})
	cancel()
	if err != nil {
		return err
	}
	defer st.Close()
	return do(st)
}

func failedHooks(reports []redeliver.Report) error {
	var errs []error
	for _, r := range reports {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", r.Provider, r.Hook, r.Err))
		}
	}
	return errors.Join(errs...)
}

// verdicts says in words what became of a delivery.
var verdicts = map[string]string{
	redeliver.Recorded: "recorded", redeliver.Asked: "asked for", redeliver.WouldAsk: "would be asked for",
	redeliver.Elsewhere: "asked for at another hook", redeliver.Resting: "asked for not long ago",
	redeliver.GaveUp: "asked for too often", redeliver.Later: "left for later", redeliver.Refused: "refused",
}

// showReports prints, for each hook, how many deliveries there are of each kind, and those that no record knows.
func (a *app) showReports(reports []redeliver.Report) {
	t := a.terminal()
	for _, r := range reports {
		t.printf("%s\n", t.bold(visible(r.Provider+" "+r.Hook)))
		listed := count(r.Attempts, "attempt", "attempts")
		if !r.Whole {
			listed += ", not all that there are"
		}
		t.field("listed", listed)
		t.field("never succeeded", deliveries(len(r.Deliveries)))
		for _, v := range slices.Sorted(maps.Keys(r.Counts)) {
			t.field(cmp.Or(verdicts[v], v), strconv.Itoa(r.Counts[v]))
		}
		if r.Error != "" {
			t.field("ended early", r.Error)
		}
		rows := [][]string{{"FIRST", "DELIVERY", "EVENT", "ATTEMPTS", "LAST STATUS", "WHAT"}}
		for _, c := range r.Deliveries {
			if c.Verdict == redeliver.Recorded || len(rows) > shownFailures {
				continue
			}
			what := strings.TrimSpace(cmp.Or(verdicts[c.Verdict], c.Verdict) + " " + c.Detail)
			rows = append(rows, []string{moments(c.First), c.Delivery, c.Event, strconv.Itoa(c.Attempts), c.Status, what})
		}
		if len(rows) > 1 {
			t.table(rows)
		}
		if more := len(r.Deliveries) - r.Counts[redeliver.Recorded] - (len(rows) - 1); more > 0 {
			t.printf("… and %d more; --json prints all\n", more)
		}
	}
}

// moments is a time that the provider may not tell.
func moments(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return stamp(at)
}
