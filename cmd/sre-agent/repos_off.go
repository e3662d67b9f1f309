package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
)

func (a *app) reposOffCommand() *cobra.Command {
	return a.switchTo("off", "Leave a repository alone, as /sre-agent off does",
		"Leave a repository alone: its runs that wait are ended, its open pull requests closed, and no failure of it is taken until\n"+
			"it is switched on again.")
}

func (a *app) reposOnCommand() *cobra.Command {
	return a.switchTo("on", "Take the failures of a repository again", "Take the failures of a repository that was switched off again, from now on.")
}

func (a *app) switchTo(way, short, long string) *cobra.Command {
	c := repositoryChange{operation: map[string]string{"on": store.OpOn, "off": store.OpOff}[way], would: func() string { return way }}
	c.apply = func(ctx context.Context, st *store.Store, id int64, by store.Actor) (is, was string, err error) {
		changed, err := st.Switch(ctx, id, way == "on", by)
		if err == nil && !changed {
			err = fmt.Errorf("it is %s already", way)
		}
		return way, map[string]string{"on": "off", "off": "on"}[way], err
	}
	cmd := &cobra.Command{
		Use: way + " OWNER/NAME", Short: short, Args: cobra.ExactArgs(1), Long: long + changeNote,
		RunE: func(cmd *cobra.Command, args []string) error { return a.changeRepository(cmd, args[0], &c) },
	}
	c.flags(cmd)
	return cmd
}
