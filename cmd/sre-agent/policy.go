package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/patch"
	"github.com/sre-agent/sre-agent/internal/policy"
	"github.com/sre-agent/sre-agent/internal/repoconfig"
	"github.com/sre-agent/sre-agent/internal/store"
)

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Try a policy on patches", RunE: group}
	cmd.AddCommand(a.policyTestCommand(), a.policyCheckCommand())
	return cmd
}

const aboutPolicyFiles = "A policy file has the form of the policy part of .sre-agent.yaml, and is read as POLICY_FILE is: its limits and " +
	"allowed paths stand instead of the default ones, its forbidden paths are added.\n\n"

func (a *app) policyTestCommand() *cobra.Command {
	var file, since string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "test", Short: "Say what another policy would have decided on past runs", Args: cobra.NoArgs,
		Long: "Judge again, by the policy in a file, the patches that are in the database at DATABASE_URL: those of fixes, and those that a policy " +
			"refused or a mode held back. Nothing is changed.\n\n" + aboutPolicyFiles + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return &usageError{"--policy is required: the file with the policy to try"}
			}
			from, err := moment("--since", since, time.Now())
			if err != nil {
				return err
			}
			rules, err := repoconfig.Rules(file)
			if err != nil {
				return &usageError{err.Error()}
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, st *store.Store) error {
				return a.testPolicy(ctx, st, rules, from, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&file, "policy", "", "the file with the policy to try (required)")
	cmd.Flags().StringVar(&since, "since", "30d", "only runs since then: a duration such as 36h or 30d, or a time")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) policyCheckCommand() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check DIFF-FILE", Short: "Judge a diff, as git diff writes it (- reads from standard input)", Args: cobra.ExactArgs(1),
		Long: "Judge a diff by the default policy, or by the one in a file. A refused diff is a failure.\n\n" + aboutPolicyFiles + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			rules, err := repoconfig.Rules(file)
			if err != nil {
				return &usageError{err.Error()}
			}
			diff, err := readDiff(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			return a.checkDiff(judge(diff, rules), asJSON)
		},
	}
	cmd.Flags().StringVar(&file, "policy", "", "the file with the policy; without it the default one")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func readDiff(path string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, &usageError{err.Error()}
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	return io.ReadAll(io.LimitReader(in, patch.MaxBytes+1))
}

// judge is the verdict of rules on a diff; one that can't be read is refused by the reason of that.
func judge(diff []byte, rules policy.Rules) policy.Verdict {
	p, err := patch.Parse(diff)
	if err == nil {
		return policy.Check(p, rules)
	}
	reason, _ := fault.Reason(err)
	var why *fault.Permanent
	if errors.As(err, &why) && why.Err != nil {
		err = why.Err
	}
	return policy.Verdict{Reason: reason, Class: policy.ClassNeedsReview, Details: []policy.Finding{{Rule: reason, Message: err.Error()}}}
}

func (a *app) checkDiff(v policy.Verdict, asJSON bool) error {
	if asJSON {
		if err := printJSON(a.stdout, v); err != nil {
			return err
		}
	} else {
		a.terminal().policyVerdict(v)
	}
	if !v.Allowed {
		return fmt.Errorf("the policy refuses the diff: %s", v.Reason)
	}
	return nil
}

func (t terminal) policyVerdict(v policy.Verdict) {
	word := t.green("allowed")
	if !v.Allowed {
		word = t.red("refused")
	}
	t.printf("%s  %s, danger %d\n", word, v.Class, v.Danger.Score)
	for _, part := range v.Danger.Parts {
		t.printf("  %3d  %s\n", part.Points, visible(part.Name))
	}
	for _, f := range v.Details {
		t.printf("  %s  %s: %s\n", t.red(f.Rule), visible(f.File), visible(f.Message))
	}
}
