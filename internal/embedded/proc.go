package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	logLineMax  = 8 << 10
	logTailKept = 20
	// logDrain bounds the wait for the last log lines: an orphaned grandchild can hold the pipe open.
	logDrain = time.Second
)

// proc is a child process whose log lines are read and which ends when this process does.
type proc struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has ended and its log was read
	err  error         // of Wait; valid after done

	mu   sync.Mutex
	tail []string
}

// startProc starts cmd in its own process group (a Ctrl-C at the terminal is for the parent to act on).
func startProc(cmd *exec.Cmd, cred *syscall.Credential, death syscall.Signal, log *slog.Logger) (*proc, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = childAttr(cred, death)
	p := &proc{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	drained := make(chan struct{})
	go func() {
		// The kernel sends the death signal when the *thread* that started the child ends, so this one is kept
		// until the child has ended. It is never unlocked: the thread goes with the goroutine.
		runtime.LockOSThread()
		err := cmd.Start()
		_ = w.Close()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		select {
		case <-drained:
		case <-time.After(logDrain):
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		defer close(drained)
		p.read(r, log)
	}()
	return p, nil
}

// read logs each line and keeps the last ones for error messages.
func (p *proc) read(r io.ReadCloser, log *slog.Logger) {
	defer func() { _ = r.Close() }()
	in := bufio.NewReaderSize(r, logLineMax)
	for {
		line, _, err := in.ReadLine() // an overlong line comes in pieces
		if err != nil {
			return
		}
		text := strings.TrimSpace(string(line))
		if text == "" {
			continue
		}
		log.Debug(text)
		p.mu.Lock()
		p.tail = append(p.tail, text)
		if len(p.tail) > logTailKept {
			p.tail = p.tail[1:]
		}
		p.mu.Unlock()
	}
}

// lastLines is the end of what the process wrote.
func (p *proc) lastLines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// stop sends sig, and kills the process if it has not ended in time.
func (p *proc) stop(sig syscall.Signal, within time.Duration) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(within):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("%s had to be killed: it did not stop within %s", p.cmd.Path, within)
}

// bareEnv is the environment of children: nothing of ours, which may hold secrets.
func bareEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}

// waitError says how the process ended; call it after done.
func (p *proc) waitError() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}
