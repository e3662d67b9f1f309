package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

func (a *app) pruneCommand() *cobra.Command {
	var yes, dryRun, asJSON bool
	var s signature
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove records that nothing needs any more", Args: cobra.NoArgs,
		Long: "Remove from the database at DATABASE_URL the records of deliveries that made no run after RECORDS_KEEP_DAYS, and empty what\n" +
			"attempts found out (excerpts of logs, outputs, kept diffs) EVIDENCE_KEEP_DAYS after their run ended. What keeps a failure\n" +
			"from being worked on twice stays: runs, the deliveries that made them, fixes and publications. What is in the streams\n" +
			"goes by itself; docs/backup.md has how long each thing is kept.\n\n" +
			"Who did it and why is recorded before anything is removed. It asks first, and may be interrupted and run again.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			by, err := a.sign(s, !dryRun)
			if err != nil {
				return err
			}
			if asJSON && !dryRun {
				return &usageError{"--json goes with --dry-run"}
			}
			return a.prune(cmd, by, yes, dryRun, asJSON)
		},
	}
	s.flags(cmd, true)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be removed, and do nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --dry-run: print JSON")
	return cmd
}

// keeping is what the knobs say. A record has to outlive its message: the throttle hands in again what the stream keeps and
// no record knows.
func keeping(cfg *config.Config) store.Keep {
	stream := int(cfg.DeliveriesMaxAge()/(24*time.Hour)) + 2
	return store.Keep{RecordsDays: max(cfg.RecordsKeepDays, stream), EvidenceDays: cfg.EvidenceKeepDays}
}

func (a *app) prune(cmd *cobra.Command, by streams.By, yes, dryRun, asJSON bool) error {
	cfg, err := a.operator()
	if err != nil {
		return err
	}
	keep := keeping(cfg)
	var found store.Prune
	err = a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
		found, err = st.Prunable(ctx, keep)
		return err
	})
	if err != nil {
		return err
	}
	t := a.terminal()
	what := fmt.Sprintf("%s that made no run (older than %d days), and the evidence of %s (older than %d days)",
		count(int(found.Deliveries), "delivery", "deliveries"), keep.RecordsDays, count(int(found.Attempts), "attempt", "attempts"), keep.EvidenceDays)
	switch {
	case dryRun && asJSON:
		return printJSON(a.stdout, struct {
			store.Keep
			store.Prune
		}{keep, found})
	case dryRun:
		t.printf("would be removed: %s\n", what)
		return nil
	case found == store.Prune{}:
		t.printf("nothing to remove\n")
		return nil
	}
	if err := a.confirm(cmd, yes, "remove "+what+"?"); err != nil {
		return err
	}
	st, err := store.Open(cmd.Context(), cfg.DatabaseURL.Reveal(), store.Options{MaxConns: 2})
	if err != nil {
		return err
	}
	defer st.Close()
	bar := newProgress(a.stderr, "removed", int(found.Deliveries+found.Attempts), time.Now)
	done, err := st.Prune(cmd.Context(), keep, store.Actor{Who: by.Actor, Why: by.Why}, func(p store.Prune) { bar.step(int(p.Deliveries + p.Attempts)) })
	bar.end()
	t.printf("removed %s and the evidence of %s\n", count(int(done.Deliveries), "delivery", "deliveries"), count(int(done.Attempts), "attempt", "attempts"))
	return err
}
