package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/store"
	"github.com/sre-agent/sre-agent/streams"
)

// repositoryChange is a change of a repository's settings, as it was asked for.
type repositoryChange struct {
	operation, provider string
	yes, dryRun         bool
	signature           signature
	// would is what --dry-run shows; apply does it, and says how it is and was.
	would func() string
	apply func(ctx context.Context, st *store.Store, id int64, by store.Actor) (is, was string, err error)
}

// sets has c change what is set for a repository.
func (c *repositoryChange) sets(change func(*store.RepositorySettings)) {
	c.would = func() string {
		var s store.RepositorySettings
		change(&s)
		return settingsLine(s)
	}
	c.apply = func(ctx context.Context, st *store.Store, id int64, by store.Actor) (is, was string, err error) {
		before, after, err := st.ChangeRepository(ctx, id, c.operation, by, change)
		return settingsLine(after), settingsLine(before), err
	}
}

func (c *repositoryChange) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.provider, "provider", "", "the provider, where several have a repository of this name")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "show what would be set, and do nothing")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "don't ask")
	c.signature.flags(cmd, true)
}

const changeNote = "\n\nWho did it and why is recorded, in the database at DATABASE_URL. When NATS_URL is set the services are told at once;\n" +
	"without it they notice by themselves, a little later. It asks first.\n\n" + exitCodes

func (a *app) reposPauseCommand() *cobra.Command {
	c := repositoryChange{operation: store.OpPause}
	c.sets(func(s *store.RepositorySettings) {
		if s.PausedAt == nil {
			now := time.Now()
			s.PausedAt = &now
		}
	})
	cmd := &cobra.Command{
		Use: "pause OWNER/NAME", Short: "Start nothing and publish nothing in a repository", Args: cobra.ExactArgs(1),
		Long: "Start no run and publish nothing in a repository until it is resumed. Its failures are recorded and wait. A run that\n" +
			"is being worked on goes on to its end, and its fix waits." + changeNote,
		RunE: func(cmd *cobra.Command, args []string) error { return a.changeRepository(cmd, args[0], &c) },
	}
	c.flags(cmd)
	return cmd
}

func (a *app) reposResumeCommand() *cobra.Command {
	c := repositoryChange{operation: store.OpResume}
	c.sets(func(s *store.RepositorySettings) { s.PausedAt = nil })
	cmd := &cobra.Command{
		Use: "resume OWNER/NAME", Short: "Let a paused repository go on", Args: cobra.ExactArgs(1),
		Long: "Let a paused repository go on with what waits." + changeNote,
		RunE: func(cmd *cobra.Command, args []string) error { return a.changeRepository(cmd, args[0], &c) },
	}
	c.flags(cmd)
	return cmd
}

func (a *app) reposLimitsCommand() *cobra.Command {
	c := repositoryChange{operation: store.OpLimits}
	var slots, rate int
	cmd := &cobra.Command{
		Use: "limits OWNER/NAME", Short: "Bound a repository more closely than the knobs do", Args: cobra.ExactArgs(1),
		Long: "Bound the runs of a repository that are worked on at once, or its intake. A limit above REPO_PIPELINE_CONCURRENCY_LIMIT\n" +
			"or REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE changes nothing; 0 takes a limit away." + changeNote,
		RunE: func(cmd *cobra.Command, args []string) error {
			slotsSet, rateSet := cmd.Flags().Changed("concurrency"), cmd.Flags().Changed("rate")
			switch {
			case !slotsSet && !rateSet:
				return &usageError{"say which limit: --concurrency or --rate"}
			case slots < 0 || slots > 1000:
				return &usageError{"--concurrency must be from 0 to 1000"}
			case rate < 0 || rate > 100_000:
				return &usageError{"--rate must be from 0 to 100000"}
			}
			c.sets(func(s *store.RepositorySettings) {
				if slotsSet {
					s.ConcurrencyLimit = slots
				}
				if rateSet {
					s.RatePerMinute = rate
				}
			})
			return a.changeRepository(cmd, args[0], &c)
		},
	}
	c.flags(cmd)
	cmd.Flags().IntVar(&slots, "concurrency", 0, "runs that are worked on at once; 0 is as the knob says")
	cmd.Flags().IntVar(&rate, "rate", 0, "deliveries per minute; 0 is as the knob says")
	return cmd
}

func (a *app) reposModeCommand() *cobra.Command {
	c := repositoryChange{operation: store.OpMode}
	cmd := &cobra.Command{
		Use: "mode OWNER/NAME MODE", Short: "Say how far the agent may go in a repository", Args: cobra.ExactArgs(2),
		Long: "Say how far the agent may go in a repository: shadow (everything but publishing), suggest or pr; default takes the\n" +
			"setting away. What the repository's own file says stands where it allows less. A verified fix that waits to be\n" +
			"published is held back too. To have a repository left alone altogether: sre-agent repos off." + changeNote,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return modes(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			mode := args[1]
			switch repoconfig.Mode(mode) {
			case "default":
				mode = ""
			case repoconfig.ModeShadow, repoconfig.ModeSuggest, repoconfig.ModePR:
			default:
				return &usageError{fmt.Sprintf("unknown mode %q: want one of %s", mode, strings.Join(modes(), ", "))}
			}
			c.sets(func(s *store.RepositorySettings) { s.Mode = mode })
			return a.changeRepository(cmd, args[0], &c)
		},
	}
	c.flags(cmd)
	return cmd
}

func modes() []string { return []string{"shadow", "suggest", "pr", "default"} }

func (a *app) changeRepository(cmd *cobra.Command, full string, c *repositoryChange) error {
	owner, name, ok := repositoryName(full)
	if !ok {
		return &usageError{fmt.Sprintf("%q is not owner/name", full)}
	}
	by, err := a.sign(c.signature, !c.dryRun)
	if err != nil {
		return err
	}
	var id int64
	var provider string
	err = a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
		id, provider, err = findRepository(ctx, st, c.provider, owner, name)
		return err
	})
	if err != nil {
		return err
	}
	_, verb, _ := strings.Cut(c.operation, ".")
	t := a.terminal()
	if c.dryRun {
		t.printf("would be done: %s of %s: %s\n", verb, visible(full), c.would())
		return nil
	}
	if err := a.confirm(cmd, c.yes, fmt.Sprintf("%s %s?", verb, full)); err != nil {
		return err
	}
	return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
		is, was, err := c.apply(ctx, st, id, store.Actor{Who: by.Actor, Why: by.Why})
		if err != nil {
			return err
		}
		t.printf("%s: %s, was %s\n", visible(full), is, was)
		event := streams.Event{Kind: c.operation, Provider: provider, Owner: owner, Name: name, Detail: is}
		if err := a.tell(ctx, event, by); err != nil {
			fmt.Fprintf(a.stderr, "it is done, but the services are not told at once: %s\n", visible(err.Error()))
		}
		return nil
	})
}

// findRepository finds the one repository that is meant.
func findRepository(ctx context.Context, st *store.Store, provider, owner, name string) (id int64, itsProvider string, err error) {
	found, err := st.FindRepositories(ctx, provider, owner, name)
	switch {
	case err != nil:
		return 0, "", err
	case len(found) == 0:
		return 0, "", fmt.Errorf("no failure of %s/%s was ever recorded: sre-agent repos list has those that are known", owner, name)
	case len(found) > 1:
		var providers []string
		for _, f := range found {
			providers = append(providers, f.Provider)
		}
		return 0, "", &usageError{fmt.Sprintf("%d repositories have this name: add --provider (%s)", len(found), strings.Join(providers, ", "))}
	}
	return found[0].ID, found[0].Provider, nil
}

func repositoryName(full string) (owner, name string, ok bool) {
	i := strings.LastIndex(full, "/") // GitLab's groups have groups
	if i <= 0 || i == len(full)-1 {
		return "", "", false
	}
	return full[:i], full[i+1:], true
}

func settingsLine(s store.RepositorySettings) string {
	var parts []string
	if s.PausedAt != nil {
		parts = append(parts, "paused")
	}
	if s.ConcurrencyLimit > 0 {
		parts = append(parts, "slots "+strconv.Itoa(s.ConcurrencyLimit))
	}
	if s.RatePerMinute > 0 {
		parts = append(parts, "rate "+strconv.Itoa(s.RatePerMinute)+"/min")
	}
	if s.Mode != "" {
		parts = append(parts, "mode "+s.Mode)
	}
	if len(parts) == 0 {
		return "nothing set"
	}
	return strings.Join(parts, ", ")
}

// tell wakes the scheduler and records an event about what was done.
func (a *app) tell(ctx context.Context, e streams.Event, by streams.By) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellWithin)
	defer cancel()
	return a.withStreams(ctx, func(ctx context.Context, bus *streams.Bus) error {
		bus.Wake()
		return bus.Record(ctx, e, by)
	})
}
