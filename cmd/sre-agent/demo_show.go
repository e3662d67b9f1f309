package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sre-agent/sre-agent/internal/demo"
	"github.com/sre-agent/sre-agent/internal/forge/forgetest"
	"github.com/sre-agent/sre-agent/internal/store"
)

// show prints the pull request, its diff, and the check on both branches, which it runs.
func (s *stage) show(ctx context.Context, pr forgetest.PR) error {
	t := s.term
	diff, err := s.scene.Diff(ctx, pr.Head)
	if err != nil {
		return err
	}
	t.printf("\n%s %s\n  %s\n\n", t.bold("pull request:"), visible(pr.URL), visible(pr.Title))
	t.diff(diff)
	t.printf("\n%s %s\n", t.bold("the check:"), demo.CheckCommand)
	before, err := s.scene.CheckOnBranch(ctx, pr.Base)
	if err != nil {
		return err
	}
	after, err := s.scene.CheckOnBranch(ctx, pr.Head)
	if err != nil {
		return err
	}
	t.checkLine(pr.Base, before)
	t.checkLine(pr.Head, after)
	t.printf("\n")
	if before.Green() || !after.Green() {
		return errors.New("the check has to be red on the base and green on the pull request's branch")
	}
	return nil
}

func (t terminal) checkLine(branch string, r demo.CheckResult) {
	verdict := t.green("green")
	if !r.Green() {
		verdict = t.red("red") + "    " + visible(strings.Join(strings.Fields(r.Output), " "))
	}
	t.printf("  %-*s  %s\n", 32, visible(branch), verdict)
}

// lookAround says where everything is while the demo stays up.
func (s *stage) lookAround(r demoResult) {
	t, cfg := s.term, s.all.cfg
	database := cfg.DatabaseURL.Reveal()
	t.printf("%s (Ctrl-C ends it)\n", t.bold("It stays up for looking around"))
	for _, row := range [][2]string{
		{"pull request", r.pr.URL},
		{"metrics", s.base + "/metrics"},
		{"health", s.base + "/readyz"},
		{"streams", fmt.Sprintf("nats --server %s stream ls", cfg.NATSURL)},
		{"events", fmt.Sprintf("nats --server %s sub 'events.>'", cfg.NATSURL)},
		{"database", fmt.Sprintf("psql '%s'", database)},
		{"runs", fmt.Sprintf("DATABASE_URL='%s' %s runs list", database, programName())},
		{"one run", fmt.Sprintf("DATABASE_URL='%s' %s runs show 1", database, programName())},
		{"services' log", s.logs.Name()},
	} {
		t.printf("  %-14s %s\n", row[0], row[1])
	}
	t.printf("\n")
}

func programName() string {
	if name, err := os.Executable(); err == nil {
		return name
	}
	return "sre-agent"
}

// explain prints, after a failure, the history of each run and the end of the log.
func (s *stage) explain() {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	st, err := store.Open(ctx, s.all.cfg.DatabaseURL.Reveal(), store.Options{MaxConns: 2})
	if err == nil {
		defer st.Close()
		s.histories(ctx, st)
	}
	s.term.printf("\n%s\n", s.term.bold("the end of the services' log"))
	for _, line := range lastLines(s.logs.Name(), shownLines) {
		s.term.printf("  %s\n", visible(line))
	}
}

func (s *stage) histories(ctx context.Context, st *store.Store) {
	runs, err := st.Runs(ctx, "", 5)
	if err != nil {
		return // the services may have ended before there was a schema
	}
	for _, r := range runs {
		if h, err := st.History(ctx, r.ID); err == nil {
			s.term.printf("\n")
			s.term.history(h)
		}
	}
}

const maxTail = 64 << 10

// lastLines is the end of a file.
func lastLines(name string, n int) []string {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > maxTail {
		_, _ = f.Seek(-maxTail, io.SeekEnd)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTail))
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[max(0, len(lines)-n):]
}
