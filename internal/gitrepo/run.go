package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unicode"
)

const (
	defaultMaxOutput = 16 << 20
	maxStderr        = 64 << 10
)

// Run runs a git command and returns its standard output. Failures are *Error; those that talk to a remote carry a
// reason when trying again can't help (see Reasons in docs/security.md).
func (g *Git) Run(ctx context.Context, cmd Cmd) ([]byte, error) {
	if err := g.allowed(cmd.Args); err != nil {
		return nil, fmt.Errorf("gitrepo: %w", err)
	}
	if cmd.Remote != nil {
		if err := cmd.Remote.Validate(); err != nil {
			return nil, err
		}
	}
	if cmd.MaxOutput <= 0 {
		cmd.MaxOutput = defaultMaxOutput
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stdout := &bounded{limit: cmd.MaxOutput, full: func() { cancel(ErrTooLarge) }}
	stderr := &ending{}
	process := g.process(ctx, cmd)
	lent, err := cmd.Remote.lend(process)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lent.Close() }() // of a nil file: an error, and nothing else
	process.Stdout, process.Stderr = stdout, stderr

	// The kernel's parent-death signal follows the thread that forked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := time.Now()
	err = process.Run()
	g.log.DebugContext(ctx, "git", "command", cmd.Args[0], "took", time.Since(begin), "failed", err != nil)
	if err == nil && !stdout.overflow {
		return stdout.buf.Bytes(), nil
	}
	if stdout.overflow {
		return nil, fmt.Errorf("git %s: %w: more than %d bytes", cmd.Args[0], ErrTooLarge, cmd.MaxOutput)
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, fmt.Errorf("git %s: %w", cmd.Args[0], cause)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) && !errors.Is(err, syscall.EPIPE) {
		return nil, fmt.Errorf("git %s: %w", cmd.Args[0], err)
	}
	failure := &Error{Command: cmd.Args[0], ExitCode: process.ProcessState.ExitCode(), Stderr: cmd.Remote.redact(string(stderr.last))}
	if cmd.Remote != nil {
		return stdout.buf.Bytes(), classify(failure)
	}
	return stdout.buf.Bytes(), failure
}

func (g *Git) process(ctx context.Context, cmd Cmd) *exec.Cmd {
	process := exec.CommandContext(ctx, g.bin, cmd.Args...)
	process.Env = g.commandEnv(cmd)
	process.Dir = "/"
	if cmd.WorkTree != "" {
		process.Dir = cmd.WorkTree
	}
	if cmd.Stdin != nil {
		process.Stdin = bytes.NewReader(cmd.Stdin)
	}
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	process.Cancel = func() error { return syscall.Kill(-process.Process.Pid, syscall.SIGKILL) }
	process.WaitDelay = 5 * time.Second
	return process
}

// redact makes text of git and of the server fit for an error: no secret, no control characters, not long.
func (r *Remote) redact(text string) string {
	if r != nil && r.Token != "" {
		text = strings.NewReplacer(r.Token, "[token]", r.basic(), "[token]").Replace(text)
	}
	text = strings.Map(func(c rune) rune {
		if c == '\n' || unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > 2000 {
		text = text[:500] + "\n...\n" + text[len(text)-1500:]
	}
	return strings.ToValidUTF8(text, "?")
}

// bounded keeps the first limit bytes and calls full when there are more.
type bounded struct {
	buf      bytes.Buffer
	limit    int64
	overflow bool
	full     func()
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - int64(b.buf.Len())
	if int64(len(p)) > room {
		b.buf.Write(p[:max(room, 0)])
		if !b.overflow {
			b.overflow = true
			b.full()
		}
		return len(p), nil
	}
	return b.buf.Write(p)
}

// ending keeps the last bytes: git says at the end what was fatal, after what the server had to say.
type ending struct{ last []byte }

func (e *ending) Write(p []byte) (int, error) {
	e.last = append(e.last, p...)
	if extra := len(e.last) - maxStderr; extra > 0 {
		e.last = append(e.last[:0], e.last[extra:]...)
	}
	return len(p), nil
}
