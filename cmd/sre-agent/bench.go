package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest/senders"
)

// intakeOptions say what `bench intake` measures.
type intakeOptions struct {
	mode         string
	rate         float64
	duration     time.Duration
	rounds       int
	connections  int
	provider     string
	size         int
	repositories int
	duplicates   float64
	loris        int
	records      bool
	telemetry    bool
	dir          string
	profile      string
	json         bool
}

func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure this machine and this build", RunE: group}
	cmd.AddCommand(a.benchIntakeCommand(), a.benchPartCommand())
	return cmd
}

func (a *app) benchIntakeCommand() *cobra.Command {
	var o intakeOptions
	cmd := &cobra.Command{
		Use: "intake", Short: "Measure how fast webhooks are taken in, and that none is lost", Args: cobra.NoArgs,
		Long: "Measure how fast webhooks are taken in, and that none that was answered 202 is lost.\n\n" +
			"Ingest, NATS and, for the count of the records, throttle and PostgreSQL run as processes of their own with data of\n" +
			"their own, which is removed at the end; nothing that is configured is touched. This process sends. In turn with ingest\n" +
			"it measures a bare handler, which only verifies and publishes; with --loris, ingest without the slow senders\n" +
			"instead, and with --telemetry, ingest without telemetry.\n\n" +
			"It prints a table and one line of JSON. The exit code is 1 when a delivery is lost or, with --rate, when an answer is\n" +
			"not 2xx.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return a.benchIntake(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.mode, "mode", "default", "durability of NATS: default (a sync every two minutes) or always (a sync before each answer)")
	f.Float64Var(&o.rate, "rate", 0, "requests a second; 0 is as many as are answered")
	f.DurationVar(&o.duration, "duration", 30*time.Second, "how long ingest gets requests, all rounds together")
	f.IntVar(&o.rounds, "rounds", 6, "rounds of ingest and its control in turn; with --rate it is one")
	f.IntVar(&o.connections, "connections", 64, "keep-alive connections")
	f.StringVar(&o.provider, "provider", "github", "whose webhooks: a provider's name, or all")
	f.IntVar(&o.size, "size", 10240, "bytes of a body")
	f.IntVar(&o.repositories, "repositories", 500, "repositories; a few of them have most of the failures")
	f.Float64Var(&o.duplicates, "duplicates", 0.02, "share of requests that repeat an earlier one")
	f.IntVar(&o.loris, "loris", 0, "connections that are held open with requests that never end")
	f.BoolVar(&o.telemetry, "telemetry", false, "measure what telemetry costs: ingest sends every trace and metric, and the control is ingest that sends none")
	f.BoolVar(&o.records, "records", true, "let throttle record what was accepted, and count that too")
	f.StringVar(&o.dir, "dir", "", "folder, on the disk to be measured, for the servers' data (the system's folder for temporary files when empty)")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of ingest here, and one of the bare handler beside it")
	f.BoolVar(&o.json, "json", false, "print the line of JSON alone")
	return cmd
}

func (o *intakeOptions) check() error {
	for _, c := range []struct {
		ok   bool
		flag string
		want string
	}{
		{o.mode == "default" || o.mode == "always", "mode", "default or always"},
		{o.rate >= 0 && o.rate <= 1e6, "rate", "0 to 1,000,000"},
		{o.duration >= 100*time.Millisecond && o.duration <= time.Hour, "duration", "0.1 seconds to an hour"},
		{o.rounds >= 1 && o.rounds <= 100, "rounds", "1 to 100"},
		{o.connections >= 1 && o.connections <= 10_000, "connections", "1 to 10000"},
		{o.size >= 0 && o.size <= 1<<20, "size", "0 to 1048576"},
		{o.repositories >= 1 && o.repositories <= 100_000, "repositories", "1 to 100000"},
		{o.duplicates >= 0 && o.duplicates <= 0.9, "duplicates", "0 to 0.9"},
		{!o.telemetry || o.loris == 0, "telemetry", "without --loris"},
		{o.loris >= 0 && o.loris <= 100_000, "loris", "0 to 100000"},
		{len(o.senders()) > 0, "provider", "all or one of " + strings.Join(providerNames(), ", ")},
	} {
		if !c.ok {
			return &usageError{fmt.Sprintf("--%s must be %s", c.flag, c.want)}
		}
	}
	if o.rate > 0 {
		o.rounds = 1
	}
	return nil
}

// senders are the makers of the requests.
func (o *intakeOptions) senders() []webhooktest.Sender {
	if o.provider == "all" {
		return senders.Table()
	}
	return slices.DeleteFunc(senders.Table(), func(s webhooktest.Sender) bool { return s.Provider != o.provider })
}

func providerNames() (names []string) {
	for _, s := range senders.Table() {
		names = append(names, s.Provider)
	}
	return names
}

func (a *app) benchIntake(ctx context.Context, o intakeOptions) (err error) {
	b := &intakeBench{intakeOptions: o, progress: a.stderr}
	defer func() {
		if cerr := b.close(); err == nil {
			err = cerr
		}
	}()
	if err := b.start(ctx); err != nil {
		return err
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	report, err := b.report()
	if err != nil {
		return err
	}
	return report.print(a.terminal(), b, o.json)
}
