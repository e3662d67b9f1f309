package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/failure"
	"github.com/sre-agent/sre-agent/internal/redact"
)

func (a *app) logsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "logs", Short: "Read CI logs", RunE: group}
	cmd.AddCommand(a.explainCommand())
	return cmd
}

func (a *app) explainCommand() *cobra.Command {
	var passing string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain FILE", Short: "Say what failed in a job's log", Args: cobra.ExactArgs(1),
		Long: "Say what failed in a job's log: at most fifty lines that show it, its class, the failing command, and what tools said\n" +
			"about places in files. FILE may be - for the standard input. Nothing is asked of the network, and secrets are\n" +
			"taken out of all that is printed.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.explain(cmd.InOrStdin(), args[0], passing, asJSON)
		},
	}
	cmd.Flags().StringVar(&passing, "passing", "", "log of the same job when it last passed; what it holds too is no part of the failure")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) explain(stdin io.Reader, name, passingName string, asJSON bool) (err error) {
	log, closeLog, err := openLog(stdin, name)
	if err != nil {
		return err
	}
	defer closeLog()
	var passing io.Reader
	if passingName != "" {
		file, closePassing, err := openLog(stdin, passingName)
		if err != nil {
			return err
		}
		defer closePassing()
		passing = file
	}
	report, err := failure.Read(log, passing)
	if err != nil {
		return err
	}
	report = report.Redacted(redact.New(a.secrets()).String)
	if asJSON {
		return printJSON(a.stdout, explained(report))
	}
	a.terminal().report(report)
	return nil
}

func openLog(stdin io.Reader, name string) (io.Reader, func(), error) {
	if name == "-" {
		return stdin, func() {}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return file, func() { _ = file.Close() }, nil
}

// secretName is what variables are called that hold secrets.
var secretName = regexp.MustCompile(`(?i)TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|KEY`)

// secrets are the configured ones, and what the environment has under a name that says so. The command works without
// any configuration, so one that is wrong only means that nothing more is known.
func (a *app) secrets() []string {
	var known []string
	if cfg, err := a.operator(); err == nil {
		known = cfg.KnownSecrets()
	}
	for name, value := range a.environ {
		if len(value) >= 8 && secretName.MatchString(name) {
			known = append(known, value)
		}
	}
	return known
}

// explanation is what logs explain --json prints.
type explanation struct {
	Excerpt     []failure.Line       `json:"excerpt"`
	Class       failure.Class        `json:"class"`
	Confidence  float64              `json:"confidence"`
	Transient   bool                 `json:"transient"`
	Evidence    *failure.Line        `json:"evidence"`
	Command     string               `json:"command"`
	Diagnostics []failure.Diagnostic `json:"diagnostics"`
	Fingerprint string               `json:"fingerprint"`
}

func explained(r failure.Report) explanation {
	return explanation{
		Excerpt: append([]failure.Line{}, r.Excerpt...), Class: r.Class, Confidence: r.Confidence, Transient: r.Transient, Evidence: r.Evidence,
		Command: r.Command, Diagnostics: append([]failure.Diagnostic{}, r.Diagnostics...), Fingerprint: failure.Fingerprint(r, "", "", ""),
	}
}

func (t terminal) report(r failure.Report) {
	transient := ""
	if r.Transient {
		transient = ", may pass when tried again"
	}
	t.printf("%s %s (%.0f %%%s)\n", t.dim("class      "), t.bold(string(r.Class)), 100*r.Confidence, transient)
	if r.Evidence != nil {
		t.printf("%s line %d: %s\n", t.dim("because    "), r.Evidence.Number, visible(strings.TrimSpace(r.Evidence.Text)))
	}
	if r.Command != "" {
		t.printf("%s %s\n", t.dim("command    "), visible(r.Command))
	}
	t.printf("%s %s\n\n", t.dim("fingerprint"), failure.Fingerprint(r, "", "", ""))
	for _, l := range r.Excerpt {
		t.printf("%s %s\n", t.dim(fmt.Sprintf("%7d", l.Number)), visible(l.Text))
	}
	if len(r.Diagnostics) == 0 {
		return
	}
	t.printf("\n")
	rows := [][]string{{"PLACE", "TOOL", "RULE", "MESSAGE"}}
	for _, d := range r.Diagnostics[:min(len(r.Diagnostics), failure.MaxLines)] {
		rows = append(rows, []string{place(d), d.Tool, d.Rule, d.Message})
	}
	t.table(rows)
	if more := len(r.Diagnostics) - failure.MaxLines; more > 0 {
		t.printf("and %d more; --json shows all\n", more)
	}
}

func place(d failure.Diagnostic) string {
	out := d.File
	for _, n := range []int{d.Line, d.Column} {
		if n > 0 {
			out += ":" + strconv.Itoa(n)
		}
	}
	return out
}
