package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
)

const exampleDatabase = "postgres://user@host:5432/sre_agent"

func (a *app) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema up to date", Args: cobra.NoArgs,
		Long: "Bring the schema of the database at DATABASE_URL up to date. The services do the same when they start, if\n" +
			"their role may.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.migrate(cmd.Context()) },
	}
}

func (a *app) migrate(ctx context.Context) error {
	cfg, err := a.operator()
	if err != nil {
		return err
	}
	if !cfg.DatabaseURL.IsSet() {
		return notSet("DATABASE_URL", exampleDatabase)
	}
	applied, err := store.Migrate(ctx, cfg.DatabaseURL.Reveal())
	if err != nil {
		return err
	}
	for _, version := range applied {
		a.terminal().printf("applied %05d\n", version)
	}
	if len(applied) == 0 {
		a.terminal().printf("nothing to apply\n")
	}
	return nil
}
