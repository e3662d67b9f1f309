package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	partReadyWithin = time.Minute
	partStopWithin  = 40 * time.Second
)

// Part is a server of a bench: this same program in a process of its own, which ends with its standard input.
type Part struct {
	Name string
	// Address is the first line that it printed: where it listens.
	Address string

	cmd   *exec.Cmd
	stdin io.Closer
	done  chan error
	log   string
}

// StartPart starts this program with other arguments and waits until it says where it listens. It gets no environment
// but the one named; its log is a file in dir. hear, if it is set, hears each further line that it prints.
func StartPart(ctx context.Context, dir, name string, environ map[string]string, hear func(line string), args ...string) (*Part, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Part{Name: name, log: filepath.Join(dir, name+".log"), done: make(chan error, 1)}
	logs, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = logs.Close() }()
	p.cmd = exec.Command(exe, args...) //nolint:noctx // Stop ends it, in its own way
	p.cmd.Stderr = logs
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	for k, v := range environ {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	said := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		lines.Scan()
		said <- strings.TrimSpace(lines.Text())
		for lines.Scan() {
			if hear != nil {
				hear(lines.Text())
			}
		}
		_, _ = io.Copy(io.Discard, out) // what was no line
		p.done <- p.cmd.Wait()
	}()
	select {
	case p.Address = <-said:
	case <-time.After(partReadyWithin):
	case <-ctx.Done():
	}
	if p.Address == "" {
		err := errors.Join(ctx.Err(), p.Stop())
		return nil, fmt.Errorf("%s did not start (%w): %s", name, err, p.lastLines())
	}
	return p, nil
}

// EndWithInput is the part's side: the context ends with the standard input, and so with whoever started the part.
func EndWithInput(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx, cancel
}

// Ready waits until a service's page of readiness says that it is.
func (p *Part) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, partReadyWithin)
	defer cancel()
	if err := AwaitReady(ctx, "http://"+p.Address); err != nil {
		return fmt.Errorf("%s is not ready: %w: %s", p.Name, err, p.lastLines())
	}
	return nil
}

// AwaitReady waits until a service's page of readiness says that it is, or ctx ends.
func AwaitReady(ctx context.Context, base string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop lets the part end by itself, and kills it when it does not.
func (p *Part) Stop() error {
	_ = p.stdin.Close()
	select {
	case err := <-p.done:
		return err
	case <-time.After(partStopWithin):
	}
	_ = p.cmd.Process.Kill()
	return fmt.Errorf("%s had to be killed: %w", p.Name, <-p.done)
}

func (p *Part) lastLines() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-2000):])
}

// CPUTime is how long processors have worked for the part and for the programs that it has started.
func (p *Part) CPUTime() time.Duration { return CPUTime(p.cmd.Process.Pid) }

// PeakMemory is the most memory, in bytes, that the part has had resident so far.
func (p *Part) PeakMemory() int64 { return PeakMemory(p.cmd.Process.Pid) }

// PeakMemory is the most memory, in bytes, that a process has had resident so far. It is 0 where the system does not say.
func PeakMemory(pid int) int64 {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(rest)), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}
