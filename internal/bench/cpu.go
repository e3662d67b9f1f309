package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// clockTick is the unit of /proc/PID/stat: Linux gives it to programs in hundredths of a second on every architecture.
const clockTick = 10 * time.Millisecond

// CPUTime is how long processors have worked for a process, for its children that it has waited for, and for theirs that
// are running. It is 0 where the system does not say.
func CPUTime(pid int) time.Duration {
	own, _ := cpuTimes(pid)
	for _, child := range children(pid) {
		own += CPUTime(child)
	}
	return own
}

// OwnCPUTime is CPUTime without the children that are running.
func OwnCPUTime(pid int) time.Duration {
	own, _ := cpuTimes(pid)
	return own
}

// cpuTimes reads what a process and its dead children have used, and which process started it.
func cpuTimes(pid int) (used time.Duration, parent int) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0
	}
	// The name, in parentheses, may hold anything: what counts comes after it, the state being the first.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return 0, 0
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, _ := strconv.ParseInt(string(field), 10, 64)
		used += time.Duration(ticks) * clockTick
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	return used, parent
}

func children(pid int) (found []int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		child, _ := strconv.Atoi(filepath.Base(dir))
		if _, parent := cpuTimes(child); parent == pid {
			found = append(found, child)
		}
	}
	return found
}
