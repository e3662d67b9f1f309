package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) chaosCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "chaos", Short: "Bring about an incident on a system of its own, to practise", RunE: group}
	cmd.AddCommand(a.chaosScenarioCommand(), a.chaosMendCommand())
	return cmd
}

func (a *app) chaosScenarioCommand() *cobra.Command {
	var part string
	var lines []string
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
		lines = append(lines, fmt.Sprintf("  %-24s %s", s.name, s.what))
	}
	cmd := &cobra.Command{
		Use: "scenario NAME", Short: "Bring about one of the incidents of docs/ops.md", Args: cobra.ExactArgs(1), ValidArgs: names,
		Long: "Start a whole system of its own in a temporary folder, bring about one of the incidents of docs/ops.md, and print what\n" +
			"another shell needs to end it with the commands on that page. It ends with Ctrl-C and leaves nothing but its log.\n\n" +
			strings.Join(lines, "\n") + "\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			i := slices.IndexFunc(scenarios(), func(s scenario) bool { return s.name == args[0] })
			if i < 0 {
				return &usageError{fmt.Sprintf("unknown scenario %q: want one of %s", args[0], strings.Join(names, ", "))}
			}
			s := scenarios()[i]
			if part != "" && !slices.Contains(s.parts, part) {
				return &usageError{fmt.Sprintf("--part %s does not go with %s", part, s.name)}
			}
			return a.playScenario(cmd.Context(), s, part)
		},
	}
	cmd.Flags().StringVar(&part, "part", "", "of a-dependency-is-down: redis, postgresql, nats or forge")
	return cmd
}

func (a *app) chaosMendCommand() *cobra.Command {
	return &cobra.Command{
		Use: "mend", Short: "Do in a scenario what is done outside of this program: start the server, mend the scanner", Args: cobra.NoArgs,
		Long: "Have a running scenario do what people do outside of this program: start the server again, mend the scanner, push again.\n" +
			"In a real incident you do that yourself, as your platform does it.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := a.environ[controlVariable]
			if path == "" {
				return &usageError{controlVariable + " is not set: no scenario runs in this shell"}
			}
			conn, err := (&net.Dialer{}).DialContext(cmd.Context(), "unix", path)
			if err != nil {
				return fmt.Errorf("the scenario does not answer: %w", err)
			}
			defer func() { _ = conn.Close() }()
			answer, err := io.ReadAll(conn)
			if err != nil {
				return fmt.Errorf("the scenario does not answer: %w", err)
			}
			if text := strings.TrimSpace(string(answer)); text != "ok" {
				return errors.New(text)
			}
			return nil
		},
	}
}

// bringAbout starts a system in dir and brings it into the scenario's state.
func (s scenario) bringAbout(ctx context.Context, dir, part string) (*incident, error) {
	var extra map[string]string
	if s.extra != nil {
		var err error
		if extra, err = s.extra(dir); err != nil {
			return nil, err
		}
	}
	n, err := newIncident(ctx, dir, extra)
	if err != nil {
		return nil, err
	}
	if part == "" && len(s.parts) > 0 {
		part = s.parts[0]
	}
	if err = s.bring(ctx, n, part); err == nil {
		err = n.control(ctx) // what mend does is decided by then
	}
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (a *app) playScenario(ctx context.Context, s scenario, part string) error {
	dir, err := os.MkdirTemp("", "sre-incident-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	t := a.terminal()
	t.printf("starting a system of its own, and bringing about: %s\n", s.what)
	n, err := s.bringAbout(ctx, dir, part)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "env")
	if err := os.WriteFile(file, []byte(n.shell()), 0o600); err != nil {
		return errors.Join(err, n.close())
	}
	t.printf("\nIn another shell:\n\n  . %s\n  sre-agent status\n\nThe page is docs/ops.md#%s; Ctrl-C here ends all of it.\n", file, s.name)
	for told := false; rest(ctx, time.Second); {
		if over := s.over(ctx, n); over && !told {
			t.printf("%s\n", t.green("the incident is over"))
			told = true
		}
	}
	return n.close()
}
