package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/config"
)

var programs = []config.Program{config.All, config.Ingest, config.Throttle, config.Runner, config.Publisher, config.Operator}

func (a *app) configCommand() *cobra.Command {
	var of string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "config", Short: "Show the effective configuration, secrets hidden", Args: cobra.NoArgs,
		Long: "Show what a program would work with and where each value is from. Problems go to standard error, and the exit code is then 2.\n\n" + exitCodes,
		RunE: func(*cobra.Command, []string) error { return a.showConfig(config.Program(of), asJSON) },
	}
	cmd.Flags().StringVar(&of, "program", string(config.All), "whose configuration: all, ingest, throttle, runner, publisher or operator")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) showConfig(of config.Program, asJSON bool) error {
	if !slices.Contains(programs, of) {
		return &usageError{fmt.Sprintf("unknown program %q", of)}
	}
	cfg, bad := config.Load(of, a.environ)
	if cfg == nil {
		return bad
	}
	items := config.Effective(cfg)
	if asJSON {
		if err := printJSON(a.stdout, items); err != nil {
			return err
		}
	} else {
		rows := [][]string{{"VARIABLE", "SOURCE", "VALUE"}}
		for _, i := range items {
			rows = append(rows, []string{i.Name, i.Source, i.Value})
		}
		a.terminal().table(rows)
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(a.stderr, "warning: "+visible(w))
	}
	return bad
}

// operator loads what the operator's commands read.
func (a *app) operator() (*config.Config, error) { return config.Load(config.Operator, a.environ) }

// notSet is the error of a command that can't do without a variable.
func notSet(variable, example string) error {
	return &usageError{fmt.Sprintf("%s is not set; for example %s=%s", variable, variable, example)}
}
