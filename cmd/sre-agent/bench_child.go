package main

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
	childReadyWithin = time.Minute
	childStopWithin  = 40 * time.Second
)

// child is a server of a bench: this same program in a process of its own.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan error
	log   string
	// address is what it printed: where it listens.
	address string
}

// startChild starts a part and waits until it says where it listens. It gets no environment but the one named.
func startChild(ctx context.Context, dir string, environ map[string]string, part string, args ...string) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{log: filepath.Join(dir, part+".log"), done: make(chan error, 1)}
	logs, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = logs.Close() }()
	c.cmd = exec.Command(exe, append([]string{"bench", "part", part}, args...)...) //nolint:noctx // stop ends it, in its own way
	c.cmd.Stderr = logs
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	for k, v := range environ {
		c.cmd.Env = append(c.cmd.Env, k+"="+v)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", part, err)
	}
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, out)
		c.done <- c.cmd.Wait()
	}()
	select {
	case c.address = <-said:
	case <-time.After(childReadyWithin):
	case <-ctx.Done():
	}
	if c.address == "" {
		err := errors.Join(ctx.Err(), c.stop())
		return nil, fmt.Errorf("%s did not start (%w): %s", part, err, c.lastLines())
	}
	return c, nil
}

// ready waits until a service's page of readiness says that it is.
func (c *child) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, childReadyWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+"/readyz", http.NoBody)
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
			return fmt.Errorf("%s is not ready: %w: %s", filepath.Base(c.log), ctx.Err(), c.lastLines())
		}
	}
}

// stop lets the child end by itself, and kills it when it does not.
func (c *child) stop() error {
	_ = c.stdin.Close()
	select {
	case err := <-c.done:
		return err
	case <-time.After(childStopWithin):
	}
	_ = c.cmd.Process.Kill()
	return fmt.Errorf("%s had to be killed: %w", filepath.Base(c.log), <-c.done)
}

func (c *child) lastLines() string {
	text, _ := os.ReadFile(c.log)
	return string(text[max(0, len(text)-2000):])
}

// peakMemory is the most memory, in bytes, that the child has had resident so far. It is 0 where the system does not
// say.
func (c *child) peakMemory() int64 {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.cmd.Process.Pid), "status"))
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(rest)), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}
