package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// children looks at the command lines and environments of every process below some programs, again and again.
type children struct {
	stop context.CancelFunc
	done chan struct{}
	// seen are the programs that were looked at; found says where a secret was.
	seen, found map[string]bool
}

func (c *canaries) watch(ctx context.Context, parents ...*process) *children {
	ctx, stop := context.WithCancel(ctx)
	w := &children{stop: stop, done: make(chan struct{}), seen: map[string]bool{}, found: map[string]bool{}}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			family := map[int][]byte{}
			for _, p := range parents {
				line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID()))
				family[p.PID()] = line
			}
			w.sample(c, family)
			<-tick.C
		}
	}()
	return w
}

// sample looks once at the descendants of family, which has the command lines of the programs themselves.
func (w *children) sample(c *canaries, family map[int][]byte) {
	below := map[int]bool{}
	for pid := range family {
		below[pid] = true
	}
	for _, pid := range processes() {
		parent := parentOf(pid)
		if _, itself := family[pid]; itself || !below[parent] {
			continue
		}
		below[pid] = true
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || len(line) == 0 || slices.ContainsFunc(keys(family), func(p int) bool { return bytes.Equal(line, family[p]) }) {
			continue // it has ended, or is a copy of its parent that has not become its program yet
		}
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		name, _, _ := strings.Cut(string(line), "\x00")
		name = filepath.Base(name)
		w.seen[name] = true
		for _, found := range c.find(string(line)) {
			w.found["the command line of "+name+" holds "+found] = true
		}
		for _, found := range c.find(string(environ)) {
			w.found["the environment of "+name+" holds "+found] = true
		}
		// The one command that talks to the remote is given its token so, and by no other way.
		if held, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/3", pid)); strings.HasPrefix(held, "/memfd:git-credential") {
			w.seen["a git that holds a token"] = true
		}
	}
}

func keys(family map[int][]byte) []int {
	out := make([]int, 0, len(family))
	for pid := range family {
		out = append(out, pid)
	}
	return out
}

// processes are the ids of all processes, in their order, so that a child mostly comes after its parent.
func processes() []int {
	entries, _ := os.ReadDir("/proc")
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}

func parentOf(pid int) int {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	at := bytes.LastIndexByte(stat, ')')
	if at < 0 {
		return 0
	}
	fields := strings.Fields(string(stat[at+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// look ends the watch and fails the test for what it has found.
func (w *children) look(t *testing.T) {
	t.Helper()
	w.stop()
	<-w.done
	for found := range w.found {
		t.Error(found)
	}
	for _, want := range []string{"git", "bwrap", "sh", "a git that holds a token"} {
		if !w.seen[want] {
			t.Errorf("no %s was seen among the children: %v", want, w.seen)
		}
	}
}
