package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What held a run's memory, in Result.MemoryBy.
const (
	ByCgroup2  = "cgroup2"
	ByCgroup1  = "cgroup1"
	BySampling = "sampling"
)

// cgroups is where control groups for runs can be made: below this program's own, or beside it when it was given its
// own one below a delegated one.
type cgroups struct {
	by, parent                   string
	limit, swap, together, event string
}

const groupPrefix = "sre-sandbox-"

// findCgroups looks for a place where a group with a memory limit can really be made, and nil when there is none.
func findCgroups(membership string) *cgroups {
	for _, c := range memoryGroups(membership) {
		if c.by == ByCgroup2 {
			// Asked of a group with processes in it, the kernel says no.
			_ = os.WriteFile(filepath.Join(c.parent, "cgroup.subtree_control"), []byte("+memory"), 0)
		}
		if g, err := c.make(DefaultLimits().Memory); err == nil {
			g.remove()
			c.sweep()
			return &c
		}
	}
	return nil
}

// memoryGroups are the places that a process's membership (/proc/PID/cgroup) leads to.
func memoryGroups(membership string) []cgroups {
	var groups []cgroups
	for line := range strings.Lines(membership) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, own, _ := strings.Cut(rest, ":")
		switch {
		case id == "0" && controllers == "":
			for _, dir := range []string{own, filepath.Dir(own)} {
				parent := filepath.Join("/sys/fs/cgroup", dir)
				groups = append(groups, cgroups{ByCgroup2, parent, "memory.max", "memory.swap.max", "memory.oom.group", "memory.events"})
			}
		case strings.Contains(","+controllers+",", ",memory,"):
			parent := filepath.Join("/sys/fs/cgroup/memory", own)
			groups = append(groups, cgroups{ByCgroup1, parent, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "", "memory.oom_control"})
		}
	}
	return groups
}

// groupOf is the group that an engine has made for a container with this much memory, and nil when it made none that
// can be seen from here.
func groupOf(init int, memory int64) *cgroup {
	membership, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", init))
	if err != nil {
		return nil
	}
	for _, c := range memoryGroups(string(membership)) {
		g := &cgroup{&c, c.parent, true}
		limit, err := os.ReadFile(filepath.Join(g.dir, c.limit))
		if n, errN := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil && errN == nil && n <= memory {
			return g
		}
	}
	return nil
}

// sweep removes what killed programs left. A group that has processes can't be removed, and one that gets its first
// is younger.
func (c *cgroups) sweep() {
	left, _ := filepath.Glob(filepath.Join(c.parent, groupPrefix+"*"))
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 2*startTime {
			_ = os.Remove(dir)
		}
	}
}

// cgroup is the group of one run.
type cgroup struct {
	*cgroups
	dir     string
	foreign bool // an engine's: its container is in it, and it is not ours to remove
}

func (c *cgroups) make(memory int64) (*cgroup, error) {
	dir, err := os.MkdirTemp(c.parent, groupPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	g := &cgroup{c, dir, false}
	if err := g.write(c.limit, strconv.FormatInt(memory, 10)); err != nil {
		g.remove()
		return nil, fmt.Errorf("limit a control group: %w", err)
	}
	swap := "0"
	if c.by == ByCgroup1 {
		swap = strconv.FormatInt(memory, 10) // both together
	}
	_ = g.write(c.swap, swap) // not there without swap accounting
	if c.together != "" {
		_ = g.write(c.together, "1")
	}
	return g, nil
}

func (g *cgroup) write(name, value string) error {
	return os.WriteFile(filepath.Join(g.dir, name), []byte(value), 0)
}

func (g *cgroup) join(pid int) error {
	if g == nil || g.foreign {
		return nil
	}
	return g.write("cgroup.procs", strconv.Itoa(pid))
}

// exceeded says whether the kernel has killed one of the group for its memory.
func (g *cgroup) exceeded() bool {
	events, err := os.ReadFile(filepath.Join(g.dir, g.event))
	if err != nil {
		return false
	}
	for line := range bytes.Lines(events) {
		if name, n, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" ")); string(name) == "oom_kill" {
			return string(n) != "0"
		}
	}
	return false
}

// remove takes the group away. The kernel may need a moment after its last process; what it refuses is swept later.
func (g *cgroup) remove() {
	if g == nil || g.foreign {
		return
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		if err := os.Remove(g.dir); err == nil || os.IsNotExist(err) {
			return
		}
		<-tick.C
	}
}
