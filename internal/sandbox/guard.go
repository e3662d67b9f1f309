package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// guard removes a container, with all that runs in it, when its input ends: because the run is over, or because this
// program is gone. It is a program of its own because a killed one can't remove anything.
type guard struct {
	cmd   *exec.Cmd
	alive *os.File
	log   *slog.Logger
}

func startGuard(e *engine, name string, log *slog.Logger) (*guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	remove := e.command(context.Background(), "rm", "--force", "--volumes", name)
	cmd := e.prepared(exec.Command("/bin/sh", append([]string{"-c", `read -r _; exec "$@" >/dev/null 2>&1`, "sh"}, remove.Args...)...)) //nolint:noctx // it ends with its input
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("start the container's guard: %w", err)
	}
	return &guard{cmd, w, log}, nil
}

// close has the container removed and waits for it. What can't be removed is swept at the next start.
func (g *guard) close() {
	if g == nil {
		return
	}
	_ = g.alive.Close()
	if err := g.cmd.Wait(); err != nil {
		g.log.Warn("a container was not removed", "error", err)
	}
}

// label is on every container of ours; its value is the owner.
const label = "sre-agent.sandbox"

// owner is who made a container, and until when it may be there at the latest.
type owner struct {
	until     int64  // seconds since 1970
	namespace string // of process ids
	pid       int
	born      string // the process's start, in the kernel's ticks
}

func ownerNow(until time.Time) owner {
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	return owner{until.Unix(), namespace, os.Getpid(), processStart(os.Getpid())}
}

func (o owner) String() string {
	return fmt.Sprintf("%d/%s/%d/%s", o.until, o.namespace, o.pid, o.born)
}

func parseOwner(text string) (owner, bool) {
	var o owner
	parts := strings.Split(text, "/")
	if len(parts) != 4 {
		return o, false
	}
	var errU, errP error
	o.until, errU = strconv.ParseInt(parts[0], 10, 64)
	o.namespace, o.born = parts[1], parts[3]
	o.pid, errP = strconv.Atoi(parts[2])
	return o, errU == nil && errP == nil
}

// leftover says whether nobody cares for a container any more: its time is over, or its owner is gone. Another
// namespace's processes can't be seen, so their containers have their time.
func (o owner) leftover(now time.Time, here string, start func(pid int) string) bool {
	return now.Unix() > o.until || o.namespace == here && start(o.pid) != o.born
}

// processStart is field 22 of proc_pid_stat(5), and "" for a process that is gone.
func processStart(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// sweep removes the containers of killed programs whose guards were killed too.
func (e *engine) sweep(ctx context.Context, log *slog.Logger) {
	said, err := e.do(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+label)
	if err != nil {
		log.WarnContext(ctx, "leftover containers were not looked for", "error", err)
		return
	}
	here := ownerNow(time.Now()).namespace
	for _, id := range strings.Fields(said) {
		text, err := e.do(ctx, "inspect", "--format", `{{index .Config.Labels "`+label+`"}}`, id)
		if err != nil {
			continue // it is gone
		}
		if o, ok := parseOwner(text); ok && !o.leftover(time.Now(), here, processStart) {
			continue
		}
		_, err = e.do(ctx, "rm", "--force", "--volumes", id)
		log.WarnContext(ctx, "removed a leftover container", "id", id, "error", err)
	}
}
