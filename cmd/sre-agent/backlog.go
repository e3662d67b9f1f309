package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
)

func (a *app) backlogCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "backlog", Short: "Show what waits: messages in streams, runs, and in which repositories", Args: cobra.NoArgs,
		Long: "Show what each stage has to do (NATS_URL), and which runs wait, why, for how long and in which repositories\n(DATABASE_URL).\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.backlog(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// backlogView is what --json prints.
type backlogView struct {
	Stages       []stageView      `json:"stages"`
	Open         []openView       `json:"open"`
	Oldest       []waitingView    `json:"oldest_waiting"`
	Repositories []repositoryView `json:"repositories"`
}

// backlogRows is how many runs and repositories are shown.
const backlogRows = 10

func (a *app) backlog(ctx context.Context, asJSON bool) error {
	o, err := a.observer(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	seen := o.sample(ctx)
	v := backlogView{Stages: seen.Stages, Open: seen.Open, Oldest: []waitingView{}, Repositories: []repositoryView{}}
	if o.st != nil && !seen.bad() {
		if err := v.repositories(ctx, o.st); err != nil {
			return err
		}
	}
	if asJSON {
		err = printJSON(a.stdout, v)
	} else {
		a.terminal().backlog(v)
	}
	if err == nil && seen.bad() {
		err = errors.New("a server does not answer: sre-agent status")
	}
	return err
}

func (v *backlogView) repositories(ctx context.Context, st *store.Store) error {
	oldest, err := st.OldestWaiting(ctx, backlogRows)
	if err != nil {
		return err
	}
	for _, w := range oldest {
		v.Oldest = append(v.Oldest, waitingView{w.ID, fullName(w.Owner, w.Name), w.Reason, int64(w.Seconds)})
	}
	repositories, err := st.Repositories(ctx, false, backlogRows)
	if err != nil {
		return err
	}
	for _, r := range repositories {
		if r.Waiting > 0 {
			v.Repositories = append(v.Repositories, viewOfRepository(r))
		}
	}
	return nil
}

func (t terminal) backlog(v backlogView) {
	if len(v.Stages) > 0 {
		t.stages(v.Stages)
		t.printf("\n")
	}
	t.open(v.Open)
	if len(v.Repositories) > 0 {
		t.printf("\n")
		rows := [][]string{{"REPOSITORY", "WAITING", "ACTIVE", "OLDEST", "PAUSED"}}
		for _, r := range v.Repositories {
			rows = append(rows, []string{
				r.Repository, strconv.FormatInt(r.Waiting, 10), strconv.FormatInt(r.Active, 10), age(time.Duration(r.OldestSeconds) * time.Second), since(r.PausedAt),
			})
		}
		t.table(rows)
	}
	if len(v.Oldest) > 0 {
		t.printf("\n")
		rows := [][]string{{"RUN", "REPOSITORY", "REASON", "WAITING FOR"}}
		for _, w := range v.Oldest {
			rows = append(rows, []string{strconv.FormatInt(w.RunID, 10), w.Repository, w.Reason, orNow(w.Seconds)})
		}
		t.table(rows)
	}
}
