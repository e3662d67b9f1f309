package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// progressFD is where the child tells how far it is.
const progressFD = 3

// hangs is how long the child may take to end once it is asked to: a seed takes far less.
const hangs = 20 * time.Second

// supervise plays in a child: a panic in any goroutine of a seed, a deadlock, or a signal ends a process, and what was
// played so far has to be reported all the same. It returns the exit code.
func supervise(seed uint64) int {
	if seed == 0 {
		seed = uint64(time.Now().UnixNano() % 1_000_000_000)
	}
	// The last of two flags of one name counts.
	args := append(append([]string{}, os.Args[1:]...), "-child", "-seed", fmt.Sprint(seed))
	last := summary{Tool: "sim", Seed: seed}
	said, err := play(args, &last)
	if err == nil {
		return 0
	}
	if !said {
		fmt.Fprintf(os.Stderr, "sim: the playing ended before its time: %v\n", err)
		last.Interrupted, last.Violations = true, max(1, last.Violations)
		line, _ := json.Marshal(last) // numbers and strings always fit
		fmt.Println(string(line))
	}
	return 1
}

// play runs the child, passes on what it prints, and keeps in last what it told of its progress. It says whether the
// child's last line was the summary.
func play(args []string, last *summary) (said bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	progress, theirs, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer func() { _ = progress.Close() }()
	cmd := exec.Command(self, args...) //nolint:noctx // signals are passed on to it
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{theirs}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return false, err
	}
	_ = theirs.Close()
	over := make(chan struct{})
	defer close(over)
	go passOn(signals, cmd.Process, over)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for in := json.NewDecoder(progress); in.Decode(last) == nil; {
			continue
		}
	}()
	said = copyLines(os.Stdout, out)
	<-told
	return said, cmd.Wait()
}

func passOn(signals <-chan os.Signal, p *os.Process, over <-chan struct{}) {
	select {
	case <-signals:
		_ = p.Signal(syscall.SIGTERM)
	case <-over:
		return
	}
	t := time.NewTimer(hangs)
	defer t.Stop()
	select {
	case <-t.C:
		_ = p.Kill()
	case <-over:
	}
}

// copyLines says whether the last line was the summary.
func copyLines(to io.Writer, from io.Reader) (summed bool) {
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			_, _ = to.Write(line)
			var s summary
			summed = json.Unmarshal(line, &s) == nil && s.Tool == "sim"
		}
		if err != nil {
			return summed
		}
	}
}
