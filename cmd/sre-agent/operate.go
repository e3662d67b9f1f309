package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sre-agent/sre-agent/streams"
)

// What operators do to messages and runs is asked for, and recorded with who and why.

// most bounds what a person may give as name and reason, in runes.
const (
	mostName   = 100
	mostReason = 500
)

// signature is who does something and why, by the flags --by and --why.
type signature struct{ by, why string }

func (s *signature) flags(cmd *cobra.Command, required bool) {
	note := " (required)"
	if !required {
		note = ""
	}
	cmd.Flags().StringVar(&s.why, "why", "", "why you do this, for the record"+note)
	cmd.Flags().StringVar(&s.by, "by", "", "who you are, for the record; without it your login name")
}

// sign reads the flags. The texts are stored and shown to others, so they are one line without control characters.
func (a *app) sign(s signature, required bool) (streams.By, error) {
	by := streams.By{Actor: strings.TrimSpace(cmp.Or(s.by, a.environ["USER"], a.environ["LOGNAME"])), Why: strings.TrimSpace(s.why)}
	if by.Actor == "" {
		if u, err := user.Current(); err == nil {
			by.Actor = u.Username
		}
	}
	switch {
	case by.Actor == "":
		return by, &usageError{"your login name is not known: add --by"}
	case by.Why == "" && required:
		return by, &usageError{"--why is required: say why, for the record"}
	case !plain(by.Actor, mostName):
		return by, &usageError{fmt.Sprintf("--by must be one line of at most %d characters", mostName)}
	case !plain(by.Why, mostReason):
		return by, &usageError{fmt.Sprintf("--why must be one line of at most %d characters", mostReason)}
	}
	return by, nil
}

func plain(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, deceives)
}

// confirm asks on the terminal, unless the answer was given by --yes.
func (a *app) confirm(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || columns(in) < 0 {
		return &usageError{"there is no terminal to ask on: add --yes"}
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", visible(question))
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n') // no answer is no
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-answer:
		if line == "y" || line == "yes" {
			return nil
		}
	case <-cmd.Context().Done():
	}
	return errors.New("nothing was done")
}

// columns is the width of the terminal that a file is, or -1 when it is none.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return -1
	}
	return int(size.Col)
}

// withStreams connects like withBus, and then sets no bound to how long the work may take: each call has its own.
func (a *app) withStreams(ctx context.Context, do func(context.Context, *streams.Bus) error) error {
	cfg, err := a.operator()
	if err != nil {
		return err
	}
	if cfg.NATSURL == "" {
		return notSet("NATS_URL", "nats://127.0.0.1:4222")
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	bus, err := streams.ConnectWith(cfg, streams.OperatorRole, log, nil)
	if err != nil {
		return err
	}
	defer bus.Close()
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := bus.AwaitConnected(within); err != nil {
		return fmt.Errorf("NATS does not answer: %w", err)
	}
	return do(ctx, bus)
}

// shownFailures bounds how many failures of one command are told one by one.
const shownFailures = 20

// each does something to every message, tells how far it is and what failed, and goes on; when the server does not
// answer or has no room it stops. It returns how many succeeded.
func (a *app) each(ctx context.Context, verb string, sequences []uint64, do func(context.Context, uint64) error) (int, error) {
	bar := newProgress(a.stderr, verb, len(sequences), time.Now)
	defer bar.end()
	succeeded, failed := 0, 0
	for i, seq := range sequences {
		if err := ctx.Err(); err != nil {
			return succeeded, fmt.Errorf("stopped after %d of %d: %w", i, len(sequences), err)
		}
		err := do(ctx, seq)
		if errors.Is(err, streams.ErrUnavailable) || errors.Is(err, streams.ErrFull) {
			return succeeded, fmt.Errorf("stopped after %d of %d: %w", i, len(sequences), err)
		}
		if err == nil {
			succeeded++
		} else if failed++; failed <= shownFailures {
			bar.line(fmt.Sprintf("%d: %v", seq, err))
		}
		bar.step(i + 1)
	}
	if failed > 0 {
		return succeeded, fmt.Errorf("%d of %d failed", failed, len(sequences))
	}
	return succeeded, nil
}
