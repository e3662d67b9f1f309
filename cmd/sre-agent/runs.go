package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/run"
	"github.com/sre-agent/sre-agent/internal/store"
)

var states = []run.State{
	run.Waiting, run.Ready, run.Running, run.Fixed, run.Publishing, run.Published, run.Declined, run.Blocked, run.Superseded, run.Cancelled,
}

func (a *app) runsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "runs", Short: "Look at runs, and act on them", RunE: group}
	cmd.AddCommand(a.runsListCommand(), a.runsShowCommand())
	cmd.AddCommand(a.actionCommands()...)
	return cmd
}

func (a *app) runsListCommand() *cobra.Command {
	var state string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the newest runs", Args: cobra.NoArgs,
		Long: "List the newest runs in the database at DATABASE_URL.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if state != "" && !slices.Contains(states, run.State(state)) {
				return &usageError{fmt.Sprintf("unknown state %q: want one of %s", state, join(states))}
			}
			if limit < 1 || limit > 10_000 {
				return &usageError{"--limit must be from 1 to 10000"}
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
				return a.listRuns(ctx, st, state, int32(limit), asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only runs in this state: "+join(states))
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) runsShowCommand() *cobra.Command {
	var asJSON, patch bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show all that is recorded about a run", Args: cobra.ExactArgs(1),
		Long: "Show deliveries, attempts with their stages, what the log says, the plan, verdicts, the check, the fix and the publication of a\nrun. Long texts are cut here; --json has all that is stored, and --patch prints the verified\npatch alone, as git apply takes it.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || id < 1 {
				return &usageError{fmt.Sprintf("%q is not a run's number", args[0])}
			}
			if asJSON && patch {
				return &usageError{"--json and --patch are two ways to print: give one"}
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
				if patch {
					return a.showPatch(ctx, st, id)
				}
				return a.showRun(ctx, st, id, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&patch, "patch", false, "print the verified patch alone")
	return cmd
}

func (a *app) withStore(ctx context.Context, do func(context.Context, *store.Store) error) error {
	cfg, err := a.operator()
	if err != nil {
		return err
	}
	if !cfg.DatabaseURL.IsSet() {
		return notSet("DATABASE_URL", exampleDatabase)
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	st, err := store.Open(ctx, cfg.DatabaseURL.Reveal(), store.Options{MaxConns: 2})
	if err != nil {
		return err
	}
	defer st.Close()
	return do(ctx, st)
}

func (a *app) listRuns(ctx context.Context, st *store.Store, state string, limit int32, asJSON bool) error {
	runs, err := st.Runs(ctx, state, limit)
	if err != nil {
		return err
	}
	if asJSON {
		views := make([]runView, 0, len(runs))
		for _, r := range runs {
			views = append(views, viewOfRun(r))
		}
		return printJSON(a.stdout, views)
	}
	if len(runs) == 0 {
		a.terminal().printf("no runs\n")
		return nil
	}
	rows := [][]string{{"ID", "STATE", "REASON", "ATTEMPTS", "REPOSITORY", "BRANCH", "COMMIT", "WORKFLOW", "CREATED"}}
	for _, r := range runs {
		f := r.Failure
		rows = append(rows, []string{
			strconv.FormatInt(r.ID, 10), r.State, r.Reason, strconv.Itoa(int(r.AttemptCount)), f.Repository.FullName(), f.Branch,
			short(f.Commit), f.WorkflowName, r.CreatedAt.Local().Format(time.DateTime),
		})
	}
	a.terminal().table(rows)
	return nil
}

func (a *app) showRun(ctx context.Context, st *store.Store, id int64, asJSON bool) error {
	h, err := st.History(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("there is no run %d", id)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, viewOfHistory(h))
	}
	a.terminal().history(h)
	return nil
}

// showPatch prints the patch byte for byte. A terminal gets it as it can show it: the code came from outside.
func (a *app) showPatch(ctx context.Context, st *store.Store, id int64) error {
	fix, err := st.Fix(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("run %d has no verified patch", id)
	}
	if err != nil {
		return err
	}
	if t := a.terminal(); t.color || t.width > 0 {
		t.diff(string(fix.Diff))
		return nil
	}
	_, err = a.stdout.Write(fix.Diff)
	return err
}

func short(commit string) string { return commit[:min(len(commit), 12)] }

func join(states []run.State) string {
	words := make([]string, len(states))
	for i, s := range states {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
