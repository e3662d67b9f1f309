package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// runActions is what people may do to a run.
type runActions interface {
	CancelRun(ctx context.Context, id int64, a store.Actor) (store.Run, error)
	RetryRun(ctx context.Context, id int64, a store.Actor) (store.Run, error)
	UnblockRun(ctx context.Context, id int64, a store.Actor) (store.Run, error)
}

// runAction is one of them, by the name of its command.
type runAction struct {
	name string
	do   func(runActions, context.Context, int64, store.Actor) (store.Run, error)
}

// actionCommands are the commands that change a run.
func (a *app) actionCommands() []*cobra.Command {
	return []*cobra.Command{
		a.actionCommand(runActions.UnblockRun, &cobra.Command{
			Use: "unblock ID", Short: "Lift what blocks a run, and try it again",
			Long: "Lift the refusal of a run's fingerprint (a closed pull request), and have the run tried again from the beginning.",
		}),
		a.actionCommand(runActions.RetryRun, &cobra.Command{
			Use: "retry ID", Short: "Try an ended run again, or a waiting one at once",
			Long: "Have an ended run tried again from the beginning, or a waiting one at once. A refusal of its fingerprint stands: see unblock.",
		}),
		a.actionCommand(runActions.CancelRun, &cobra.Command{
			Use: "cancel ID", Short: "End a run",
			Long: "End a run. Whoever works on it loses it, and nothing of that is published.",
		}),
	}
}

func (a *app) actionCommand(do func(runActions, context.Context, int64, store.Actor) (store.Run, error), cmd *cobra.Command) *cobra.Command {
	var s signature
	var yes, dryRun bool
	cmd.Args = cobra.ExactArgs(1)
	cmd.Long += "\n\nWho did it and why is recorded with the run, in the database at DATABASE_URL. When NATS_URL is set the services are\n" +
		"told at once; without it they notice by themselves, a little later. It asks first.\n\n" + exitCodes
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil || id < 1 {
			return &usageError{fmt.Sprintf("%q is not a run's number", args[0])}
		}
		by, err := a.sign(s, !dryRun)
		if err != nil {
			return err
		}
		if dryRun {
			return a.wouldAct(cmd.Context(), cmd.Name(), id)
		}
		if err := a.confirm(cmd, yes, fmt.Sprintf("%s run %d?", cmd.Name(), id)); err != nil {
			return err
		}
		return a.actOnRun(cmd.Context(), runAction{cmd.Name(), do}, id, by)
	}
	s.flags(cmd, true)
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show which run it would be and how it is, and do nothing")
	return cmd
}

func (a *app) wouldAct(ctx context.Context, name string, id int64) error {
	return a.withStore(ctx, func(ctx context.Context, st *store.Store) error {
		r, err := st.Run(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no run %d", id)
		}
		if err != nil {
			return err
		}
		a.terminal().printf("would be done: %s of run %d of %s, which is %s\n", name, id,
			visible(fullName(r.Failure.Repository.Owner, r.Failure.Repository.Name)), visible(withReason(r.State, r.Reason)))
		return nil
	})
}

func (a *app) actOnRun(ctx context.Context, act runAction, id int64, by streams.By) error {
	var before, after store.Run
	err := a.withStore(ctx, func(ctx context.Context, st *store.Store) error {
		var err error
		if before, err = st.Run(ctx, id); err != nil {
			return err
		}
		after, err = act.do(st, ctx, id, store.Actor{Who: by.Actor, Why: by.Why})
		return err
	})
	var refused *store.ActionError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("there is no run %d", id)
	case errors.As(err, &refused):
		return fmt.Errorf("%s (%s)", refused.Message, refused.Reason)
	case err != nil:
		return err
	}
	t := a.terminal()
	t.printf("run %d: %s, was %s\n", id, t.state(after), visible(withReason(before.State, before.Reason)))
	if err := a.tellOfAction(ctx, act, after, by); err != nil {
		fmt.Fprintf(a.stderr, "it is done, but the services are not told at once: %s\n", visible(err.Error()))
	}
	return nil
}

// tellWithin is how long telling may take: what is done is done.
const tellWithin = 5 * time.Second

// tellOfAction records an event and wakes the scheduler.
func (a *app) tellOfAction(ctx context.Context, act runAction, r store.Run, by streams.By) error {
	f := r.Failure
	return a.tell(ctx, streams.Event{
		Kind: "run." + act.name, Provider: f.Provider, Owner: f.Repository.Owner, Name: f.Repository.Name, RunID: r.ID, Reason: r.Reason,
	}, by)
}
