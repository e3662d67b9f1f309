package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
)

func (a *app) switchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "switch", Short: "Switch repositories on or off, as /sre-agent off does", RunE: group}
	list := &cobra.Command{
		Use: "list", Short: "List the repositories that are off", Args: cobra.NoArgs, Long: "List the repositories that are off.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.withStore(cmd.Context(), a.listOff) },
	}
	cmd.AddCommand(list, a.switchTo("on", true, "Take the failures of a repository again."),
		a.switchTo("off", false, "Leave a repository alone: its runs that wait are ended, its open pull requests closed, and its failures not taken."))
	return cmd
}

func (a *app) switchTo(name string, on bool, long string) *cobra.Command {
	var s signature
	cmd := &cobra.Command{
		Use: name + " OWNER/NAME", Short: "Switch a repository " + name, Args: cobra.ExactArgs(1),
		Long: long + " Who did it and why is recorded.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			i := strings.LastIndexByte(args[0], '/')
			if i < 1 || i == len(args[0])-1 {
				return &usageError{fmt.Sprintf("%q is not OWNER/NAME", args[0])}
			}
			by, err := a.sign(s, true)
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
				n, err := st.Switch(ctx, args[0][:i], args[0][i+1:], on, store.Actor{Who: by.Actor, Why: by.Why})
				if errors.Is(err, store.ErrNotFound) {
					return fmt.Errorf("there is no repository %s", args[0])
				}
				if err == nil && n == 0 {
					return fmt.Errorf("%s is %s already", args[0], name)
				}
				if err == nil {
					a.terminal().printf("%s is %s\n", visible(args[0]), name)
				}
				return err
			})
		},
	}
	s.flags(cmd, true)
	return cmd
}

func (a *app) listOff(ctx context.Context, st *store.Store) error {
	rows, err := st.OffRepositories(ctx)
	if err != nil {
		return err
	}
	t := a.terminal()
	if len(rows) == 0 {
		t.printf("no repository is off\n")
	}
	for _, r := range rows {
		t.printf("%s/%s (%s): off since %s by %s: %s\n", visible(r.Owner), visible(r.Name), visible(r.Provider), r.OffAt.UTC().Format(time.RFC3339), visible(r.OffBy), visible(r.OffWhy))
	}
	return nil
}
