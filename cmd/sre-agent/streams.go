package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/streams"
)

// answerWithin is how long an operator's command waits for a server.
const answerWithin = 15 * time.Second

func (a *app) streamsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "streams", Short: "Look after the JetStream streams and consumers", RunE: group}
	var asJSON bool
	diff := &cobra.Command{
		Use: "diff", Short: "Show how the server's streams differ from the table", Args: cobra.NoArgs,
		Long: "Show how the streams and consumers of the server at NATS_URL differ from the table, and change nothing: this is what\n" +
			"apply would do.\n\nThe exit code is 1 when there are differences.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.diffStreams(cmd.Context(), asJSON) },
	}
	diff.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(a.streamsShowCommand(), diff, &cobra.Command{
		Use: "apply", Short: "Make the server's streams what the table says", Args: cobra.NoArgs,
		Long: "Make the streams and consumers of the server at NATS_URL what the table says. When a change would lose messages\n" +
			"nothing is changed, and the differences are shown; sre-agent streams diff shows them beforehand. The throttle does the\n" +
			"same when it starts.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.applyStreams(cmd.Context()) },
	})
	return cmd
}

func (a *app) applyStreams(ctx context.Context) error {
	return a.withBus(ctx, func(ctx context.Context, bus *streams.Bus, _ streams.Settings) error {
		changes, err := bus.Apply(ctx)
		var drift *streams.DriftError
		if errors.As(err, &drift) {
			a.showChanges(drift.Changes)
			return errors.New("nothing was changed: the streams on the server differ from the table in ways that need a person")
		}
		if err != nil {
			return err
		}
		a.showChanges(changes)
		return nil
	})
}

// changeView is what --json prints of a difference.
type changeView struct {
	Object  string `json:"object"`
	Field   string `json:"field"`
	Server  string `json:"server"`
	Table   string `json:"table"`
	Refused string `json:"refused,omitempty"`
}

func (a *app) diffStreams(ctx context.Context, asJSON bool) error {
	return a.withBus(ctx, func(ctx context.Context, bus *streams.Bus, settings streams.Settings) error {
		changes, err := streams.Diff(ctx, bus.JetStream(), settings)
		if err != nil {
			return err
		}
		if asJSON {
			views := []changeView{}
			for _, c := range changes {
				views = append(views, changeView(c))
			}
			err = printJSON(a.stdout, views)
		} else {
			a.showChanges(changes)
		}
		if err == nil && len(changes) > 0 {
			err = errors.New("the streams on the server differ from the table")
		}
		return err
	})
}

func (a *app) showChanges(changes []streams.Change) {
	t := a.terminal()
	for _, c := range changes {
		t.printf("%s\n", visible(c.String()))
	}
	if len(changes) == 0 {
		t.printf("nothing to change\n")
	}
}

// withBus is withStreams with a bound to how long the work may take.
func (a *app) withBus(ctx context.Context, do func(context.Context, *streams.Bus, streams.Settings) error) error {
	cfg, err := a.operator()
	if err != nil {
		return err
	}
	return a.withStreams(ctx, func(ctx context.Context, bus *streams.Bus) error {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		err := do(ctx, bus, streams.SettingsFrom(cfg))
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("NATS did not answer within %s: %w", answerWithin, err)
		}
		return err
	})
}
