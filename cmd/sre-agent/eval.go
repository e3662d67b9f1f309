package main

import "github.com/spf13/cobra"

func (a *app) evalCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "eval", Short: "Measure how well failures are read and fixed, on real material", RunE: group}
	cmd.AddCommand(a.evalPairsCommand())
	return cmd
}
