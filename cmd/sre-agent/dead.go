package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/streams"
)

func (a *app) deadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead", Short: "Look at dead letters, put them back or drop them",
		Long: "Look after the messages that were given up: the stream DEAD of the server at NATS_URL. A dead letter is named by its\n" +
			"number there.\n\n" + exitCodes,
		RunE: group,
	}
	cmd.AddCommand(a.deadListCommand(), a.deadShowCommand(), a.deadReplayCommand(), a.deadDropCommand())
	return cmd
}

func (a *app) deadListCommand() *cobra.Command {
	var reason string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the newest dead letters", Args: cobra.NoArgs,
		Long: "List the newest dead letters, with the reason and what they are about.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 10_000 {
				return &usageError{"--limit must be from 1 to 10000"}
			}
			return a.withStreams(cmd.Context(), func(ctx context.Context, bus *streams.Bus) error {
				return a.listLetters(ctx, bus, reason, limit, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "only letters with this reason")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) deadShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a dead letter with its headers and body", Args: cobra.ExactArgs(1),
		Long: "Show all of a dead letter; of a long body the beginning.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			sequences, err := letterNumbers(args)
			if err != nil {
				return err
			}
			return a.withStreams(cmd.Context(), func(ctx context.Context, bus *streams.Bus) error {
				return a.showLetter(ctx, bus, sequences[0], asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// letterChoice is which letters a command is about, and whether it may.
type letterChoice struct {
	all, dryRun, yes bool
	reason           string
	signature        signature
}

func (c *letterChoice) flags(cmd *cobra.Command, whyRequired bool) {
	cmd.Flags().BoolVar(&c.all, "all", false, "all dead letters there are when the command begins")
	cmd.Flags().StringVar(&c.reason, "reason", "", "with --all: only those with this reason")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "show which letters are meant, and do nothing")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "don't ask")
	c.signature.flags(cmd, whyRequired)
}

func (a *app) deadReplayCommand() *cobra.Command {
	var c letterChoice
	cmd := &cobra.Command{
		Use: "replay ID... | --all", Short: "Put dead letters back into their streams",
		Long: "Put the messages of dead letters back into the streams that they came from, and remove the letters once the streams have\n" +
			"acknowledged. A letter that is replayed twice, because the first time was interrupted, is one message.\n" +
			"With --all it asks first.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onLetters(cmd, args, c, letterAction{
				name: "put back", verb: "put back", ask: c.all,
				do: func(ctx context.Context, bus *streams.Bus, seq uint64, by streams.By) error {
					_, err := bus.ReplayLetter(ctx, seq, by)
					return err
				},
			})
		},
	}
	c.flags(cmd, false)
	return cmd
}

func (a *app) deadDropCommand() *cobra.Command {
	var c letterChoice
	cmd := &cobra.Command{
		Use: "drop ID... | --all", Short: "Remove dead letters for good",
		Long: "Remove dead letters for good, after recording who did it and why. It asks first.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onLetters(cmd, args, c, letterAction{
				name: "drop", verb: "dropped", ask: true, whyRequired: true,
				do: func(ctx context.Context, bus *streams.Bus, seq uint64, by streams.By) error {
					return bus.DropLetter(ctx, seq, by)
				},
			})
		},
	}
	c.flags(cmd, true)
	return cmd
}

type letterAction struct {
	// name asks, verb tells.
	name, verb       string
	ask, whyRequired bool
	do               func(context.Context, *streams.Bus, uint64, streams.By) error
}

func (a *app) onLetters(cmd *cobra.Command, args []string, c letterChoice, act letterAction) error {
	sequences, err := letterNumbers(args)
	if err != nil {
		return err
	}
	switch {
	case c.all == (len(sequences) > 0):
		return &usageError{"name dead letters by their numbers, or all of them by --all"}
	case c.reason != "" && !c.all:
		return &usageError{"--reason goes with --all"}
	}
	by, err := a.sign(c.signature, act.whyRequired && !c.dryRun)
	if err != nil {
		return err
	}
	return a.withStreams(cmd.Context(), func(ctx context.Context, bus *streams.Bus) error {
		found, err := findLetters(ctx, bus, sequences, c)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			a.terminal().printf("no dead letters\n")
			return nil
		}
		if c.dryRun {
			a.terminal().printf("would be %s: %s\n", act.verb, letters(len(found)))
			a.letterTable(found[:min(len(found), shownLetters)], len(found))
			return nil
		}
		if act.ask {
			if err := a.confirm(cmd, c.yes, fmt.Sprintf("%s %s?", act.name, letters(len(found)))); err != nil {
				return err
			}
		}
		sequences = sequences[:0]
		for _, l := range found {
			sequences = append(sequences, l.Sequence)
		}
		n, err := a.each(ctx, act.verb, sequences, func(ctx context.Context, seq uint64) error { return act.do(ctx, bus, seq, by) })
		a.terminal().printf("%s %s\n", act.verb, letters(n))
		return err
	})
}

// findLetters finds the letters that are meant; one that was named has to be there.
func findLetters(ctx context.Context, bus *streams.Bus, sequences []uint64, c letterChoice) ([]streams.Letter, error) {
	var found []streams.Letter
	for _, seq := range sequences {
		l, err := bus.Letter(ctx, seq)
		if err != nil {
			return nil, letterError(seq, err)
		}
		found = append(found, l.Letter)
	}
	if !c.all {
		return found, nil
	}
	err := bus.Letters(ctx, func(l streams.Letter) (bool, error) {
		if c.reason == "" || l.Reason == c.reason {
			found = append(found, l)
		}
		return true, nil
	})
	return found, err
}

func letterError(seq uint64, err error) error {
	if errors.Is(err, streams.ErrGone) {
		return fmt.Errorf("there is no dead letter %d", seq)
	}
	return err
}

// letterNumbers reads the letters' numbers, each once.
func letterNumbers(args []string) ([]uint64, error) {
	var out []uint64
	seen := map[uint64]bool{}
	for _, arg := range args {
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || n == 0 {
			return nil, &usageError{fmt.Sprintf("%q is not a dead letter's number", arg)}
		}
		if !seen[n] {
			out = append(out, n)
		}
		seen[n] = true
	}
	return out, nil
}

func letters(n int) string { return count(n, "dead letter", "dead letters") }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func stamp(t time.Time) string { return t.Local().Format(time.DateTime) }
