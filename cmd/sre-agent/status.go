package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

func (a *app) statusCommand() *cobra.Command {
	var watch, asJSON bool
	var every time.Duration
	cmd := &cobra.Command{
		Use: "status", Short: "Show on one screen how the system is", Args: cobra.NoArgs,
		Long: "Show the health of each server that NATS_URL, DATABASE_URL, REDIS_URL and GITHUB_API_URL name, what each stage has to do\n" +
			"and how fast it does it, what waits and why, what was blocked within a day (of the newest 100,000 runs), and the dead\n" +
			"letters.\n\n" +
			"The exit code is 1 when a server that is named does not answer.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case watch && asJSON:
				return &usageError{"--watch and --json don't go together"}
			case every < 100*time.Millisecond || every > time.Hour:
				return &usageError{"--interval must be from 100ms to 1h"}
			}
			return a.status(cmd.Context(), watch, asJSON, every)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again and again, until Ctrl-C")
	cmd.Flags().DurationVar(&every, "interval", 2*time.Second, "with --watch: how often")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// observer connects to what is named. A server that is away is no error here.
func (a *app) observer(ctx context.Context) (*observer, error) {
	cfg, err := a.operator()
	if err != nil {
		return nil, err
	}
	if cfg.NATSURL == "" && !cfg.DatabaseURL.IsSet() {
		return nil, notSet("NATS_URL and DATABASE_URL", "nats://127.0.0.1:4222")
	}
	o := &observer{cfg: cfg}
	if cfg.NATSURL != "" {
		if o.bus, err = streams.ConnectWith(cfg, "operator", slog.New(slog.DiscardHandler), nil); err != nil {
			return nil, err
		}
	}
	if cfg.DatabaseURL.IsSet() {
		if o.st, err = store.Open(ctx, cfg.DatabaseURL.Reveal(), store.Options{MaxConns: 2}); err != nil {
			o.close()
			return nil, err
		}
	}
	return o, nil
}

func (a *app) status(ctx context.Context, watch, asJSON bool, every time.Duration) error {
	o, err := a.observer(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	v := o.sample(ctx)
	for ; ctx.Err() == nil; v = o.look(ctx) {
		if asJSON {
			err = printJSON(a.stdout, v)
		} else {
			a.showStatus(v, watch)
		}
		if !watch || !rest(ctx, every) {
			break
		}
	}
	if err == nil && ctx.Err() == nil && !watch && v.bad() {
		err = errors.New("a server does not answer")
	}
	return err
}

// rest waits; false means that ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *app) showStatus(v statusView, watch bool) {
	t := a.terminal()
	var screen strings.Builder
	page := terminal{Writer: &screen, color: t.color, width: t.width}
	page.status(v)
	if watch && t.color {
		t.printf("\x1b[H\x1b[2J") // of one's own terminal
	}
	if watch {
		page.printf("\n%s\n", page.dim(time.Now().Format(time.TimeOnly)))
	}
	_, _ = io.WriteString(t, screen.String())
}

func (t terminal) status(v statusView) {
	for _, d := range v.Dependencies {
		state := map[string]string{depUp: t.green("up"), depDown: t.red("down"), depNotSet: t.dim("not set")}[d.State]
		t.printf("%-11s %s  %s\n", d.Name, state, clip(visible(d.Detail), 200))
	}
	if len(v.Stages) > 0 {
		t.printf("\n")
		t.stages(v.Stages)
	}
	if v.Paused == nil && v.DeadLetters == nil {
		return
	}
	t.printf("\n")
	t.open(v.Open)
	if w := v.Oldest; w != nil {
		t.printf("oldest: run %d of %s has been waiting for %s: %s\n", w.RunID, visible(w.Repository), orNow(w.Seconds), visible(w.Reason))
	}
	t.printf("blocked today: %s\n", reasons(v.BlockedToday))
	if v.Paused != nil && *v.Paused > 0 {
		t.printf("%s\n", t.red(count(int(*v.Paused), "repository is paused", "repositories are paused")+": sre-agent repos list --set"))
	}
	if v.DeadLetters != nil {
		line := letters(int(*v.DeadLetters))
		if *v.DeadLetters > 0 {
			line = t.red(line + ": sre-agent dead list")
		}
		t.printf("%s\n", line)
	}
}

func (t terminal) stages(stages []stageView) {
	rows := [][]string{{"STAGE", "STREAM", "PENDING", "IN HAND", "AGAIN", "RATE", "OLDEST", "WORKERS"}}
	for _, s := range stages {
		workers := strconv.Itoa(s.Workers) + " free"
		if s.PausedSeconds > 0 {
			workers = "PAUSED for " + age(time.Duration(s.PausedSeconds)*time.Second)
		}
		rows = append(rows, []string{
			s.Stage, s.Stream, strconv.FormatInt(s.Pending, 10), strconv.FormatInt(s.AckPending, 10), strconv.FormatInt(s.Redelivered, 10),
			fmt.Sprintf("%.1f/s", s.PerSecond), age(time.Duration(s.OldestSeconds) * time.Second), workers,
		})
	}
	t.table(rows)
}

func (t terminal) open(open []openView) {
	if len(open) == 0 {
		t.printf("no run is open\n")
		return
	}
	rows := [][]string{{"STATE", "REASON", "RUNS", "OLDEST"}}
	for _, o := range open {
		rows = append(rows, []string{o.State, o.Reason, strconv.FormatInt(o.Count, 10), age(time.Duration(o.OldestSeconds) * time.Second)})
	}
	t.table(rows)
}

func orNow(seconds int64) string {
	if seconds <= 0 {
		return "a moment"
	}
	return age(time.Duration(seconds) * time.Second)
}

func reasons(counts []reasonView) string {
	if len(counts) == 0 {
		return "none"
	}
	parts := make([]string, 0, len(counts))
	for _, c := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", c.Count, visible(c.Reason)))
	}
	return strings.Join(parts, ", ")
}
