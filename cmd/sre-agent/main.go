// Command sre-agent is the all-in-one program, the demo, and the operator's command line.
//
// It promises that what came from outside (names, logs, outputs) reaches a terminal with its control characters
// made visible, that no secret is printed, and that its exit codes are those of its help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
	"github.com/sre-agent/sre-agent/internal/sandbox"
)

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

const exitCodes = `Exit codes:
  0  ok
  1  failed
  2  wrong usage or configuration`

func main() {
	sandbox.Inside()
	logging.Disable() // go-redis would print beside what we say of a Redis that is away
	os.Exit(execute(os.Args[1:], config.Environ(), os.Stdout, os.Stderr))
}

// app is what the commands share.
type app struct {
	stdout, stderr io.Writer
	environ        map[string]string
	// started is set once a command's own work begins; what failed before is wrong usage.
	started bool
}

// usageError is a mistake of whoever called: a wrong argument, or a variable that is not set.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func execute(args []string, environ map[string]string, stdout, stderr io.Writer) int {
	ctx, stop := program.Signals(context.Background())
	defer stop()
	a := &app{stdout: stdout, stderr: stderr, environ: environ}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.exitCode(root.ExecuteContext(ctx))
}

func (a *app) exitCode(err error) int {
	var usage *usageError
	var badConfig *config.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &badConfig):
		fmt.Fprintln(a.stderr, err)
		return exitUsage
	case errors.As(err, &usage), !a.started:
		fmt.Fprintf(a.stderr, "sre-agent: %s\n", visibleLines(err.Error()))
		fmt.Fprintln(a.stderr, "sre-agent --help says more.")
		return exitUsage
	default:
		fmt.Fprintf(a.stderr, "sre-agent: %s\n", visibleLines(err.Error()))
		return exitFailed
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sre-agent",
		Short: "Self-healing CI: a red build becomes one verified pull request",
		Long: "Self-healing CI: a red build becomes one verified pull request.\n\n" +
			"Everything is configured by environment variables; `sre-agent config` shows them.\n\n" + exitCodes,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) { a.started = true },
		RunE:             group,
	}
	root.AddCommand(a.upCommand(), a.demoCommand(), a.migrateCommand(), a.streamsCommand(), a.runsCommand(), a.deliveriesCommand(),
		a.deadCommand(), a.statusCommand(), a.backlogCommand(), a.doctorCommand(), a.chaosCommand(), a.pruneCommand(), a.reposCommand(),
		a.policyCommand(), a.configCommand(), a.logsCommand(), a.evalCommand(), a.benchCommand(), a.receiptCommand(), a.verifyCommand(),
		a.statsCommand(), a.versionCommand())
	return root
}

// group shows the help of a command that has only subcommands.
func group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())}
	}
	return cmd.Help()
}
