package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Process is a program that can be killed, paused and started again. It is safe for concurrent use.
type Process struct {
	Name string
	Path string
	Args []string
	Env  []string
	// Log is the file that standard output and error are added to.
	Log string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// ErrRunning says that the process runs already.
var ErrRunning = errors.New("it runs already")

// Start starts the process.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return fmt.Errorf("start %s: %w", p.Name, ErrRunning)
	}
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	cmd := exec.Command(p.Path, p.Args...) //nolint:noctx // Kill and Stop end it
	cmd.Env, cmd.Stdout, cmd.Stderr = p.Env, out, out
	cmd.SysProcAttr = childAttr()
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel sends the death signal when the thread that started the child ends, so this one is kept until
		// the child has ended.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
		_ = out.Close()
		close(done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.cmd, p.done = cmd, done
	return nil
}

// Running says whether the process lives.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

func (p *Process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// PID is the id of the process, or of the last one that ran; 0 before the first start.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// signal sends sig to a process that lives, and returns a channel that is closed when it has ended.
func (p *Process) signal(sig syscall.Signal) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		ended := make(chan struct{})
		close(ended)
		return ended
	}
	_ = p.cmd.Process.Signal(sig) // it may have ended by itself
	return p.done
}

// Kill is kill -9: nothing is flushed, handed back or said.
func (p *Process) Kill() { <-p.signal(syscall.SIGKILL) }

// Pause is SIGSTOP, Resume is SIGCONT.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

// Stop is SIGTERM, as an orchestrator would; one that does not end in time is killed.
func (p *Process) Stop(within time.Duration) error {
	select {
	case <-p.signal(syscall.SIGTERM):
		return nil
	case <-time.After(within):
	}
	p.Kill()
	return fmt.Errorf("%s did not stop within %v of SIGTERM", p.Name, within)
}
