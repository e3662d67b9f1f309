package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/program"
)

// finding is one thing that was looked at. What is not ok has a cure.
type finding struct {
	Check string `json:"check"`
	// Level is ok, warning, failed or not_checked.
	Level string `json:"level"`
	What  string `json:"what"`
	Cure  string `json:"cure,omitempty"`
}

const (
	levelOK         = "ok"
	levelWarning    = "warning"
	levelFailed     = "failed"
	levelNotChecked = "not_checked"
)

// doctor collects findings.
type doctor struct {
	cfg      *config.Config
	now      func() time.Time
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{check, levelOK, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, cure, format string, args ...any) {
	d.findings = append(d.findings, finding{check, levelWarning, fmt.Sprintf(format, args...), cure})
}

func (d *doctor) fail(check, cure, format string, args ...any) {
	d.findings = append(d.findings, finding{check, levelFailed, fmt.Sprintf(format, args...), cure})
}

func (d *doctor) skip(check, variable string) {
	d.findings = append(d.findings, finding{check, levelNotChecked, variable + " is not set", ""})
}

func (a *app) doctorCommand() *cobra.Command {
	var of string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check versions, durability, clocks, permissions, sandbox and streams, and name the cure", Args: cobra.NoArgs,
		Long: "Check what a program stands on, with that program's own environment: the versions of git and of the servers, whether what\n" +
			"they were told is durable, the clocks, what roles and tokens may do, the sandbox, and whether streams and schema are those\n" +
			"of this version. Each finding has its cure. It changes nothing.\n\n" +
			"The exit code is 1 when something failed; a warning alone is 0.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.examine(cmd.Context(), config.Program(of), asJSON)
		},
	}
	cmd.Flags().StringVar(&of, "program", string(config.Operator), "whose configuration: all, ingest, throttle, runner, publisher or operator")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) examine(ctx context.Context, of config.Program, asJSON bool) error {
	if !slices.Contains(programs, of) {
		return &usageError{fmt.Sprintf("unknown program %q", of)}
	}
	cfg, bad := config.Load(of, a.environ)
	if cfg == nil {
		return bad
	}
	d := &doctor{cfg: cfg, now: time.Now}
	d.ok("program", "sre-agent %s", program.Version())
	if bad != nil {
		d.fail("configuration", "sre-agent config --program "+string(of)+" shows where each value is from", "%s", bad)
	}
	for _, w := range cfg.Warnings() {
		d.warn("configuration", "docs/configuration.md has every variable", "%s", w)
	}
	for _, check := range []func(context.Context){d.git, d.sandbox, d.disk, d.postgres, d.nats, d.redis, d.tokens} {
		within, cancel := context.WithTimeout(ctx, answerWithin)
		check(within)
		cancel()
	}
	if asJSON {
		if err := printJSON(a.stdout, d.findings); err != nil {
			return err
		}
	} else {
		a.terminal().findingsOf(d.findings)
	}
	if slices.ContainsFunc(d.findings, func(f finding) bool { return f.Level == levelFailed }) {
		return errors.New("something is not as it must be")
	}
	return nil
}

func (t terminal) findingsOf(findings []finding) {
	for _, f := range findings {
		mark := map[string]string{
			levelOK: t.green("ok     "), levelWarning: t.cyan("warning"), levelFailed: t.red("FAILED "), levelNotChecked: t.dim("-      "),
		}[f.Level]
		t.printf("%s  %-13s %s\n", mark, f.Check, clip(visible(strings.Join(strings.Fields(f.What), " ")), 600))
		if f.Cure != "" {
			t.printf("         %-13s -> %s\n", "", visible(f.Cure))
		}
	}
}
