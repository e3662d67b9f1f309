package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// watchMemory calls exceeded when the processes below init hold more than limit bytes of memory. Pages that several
// of them share are counted for each, so the sum errs on the safe side.
func watchMemory(ctx context.Context, init int, limit int64, exceeded func()) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if residentBytes(init) > limit {
			exceeded()
			return
		}
	}
}

type process struct {
	parent int
	pages  int64
}

// residentBytes sums over init and its descendants; a namespace's orphans become children of its init, so nobody is
// missed.
func residentBytes(init int) int64 {
	processes := processTable()
	var pages int64
	for pid, p := range processes {
		for up, depth := pid, 0; depth < len(processes)+1; depth++ {
			if up == init {
				pages += p.pages
				break
			}
			parent, ok := processes[up]
			if !ok {
				break
			}
			up = parent.parent
		}
	}
	return pages * int64(os.Getpagesize())
}

func processTable() map[int]process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	table := make(map[int]process, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it is gone
		}
		if p, ok := parseStat(stat); ok {
			table[pid] = p
		}
	}
	return table
}

// parseStat reads fields 4 (parent) and 24 (resident pages) of proc_pid_stat(5). The name in field 2 may hold
// anything, also blanks and parentheses: the last parenthesis ends it.
func parseStat(stat []byte) (process, bool) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return process{}, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 22 {
		return process{}, false
	}
	parent, errP := strconv.Atoi(string(fields[1]))
	pages, errR := strconv.ParseInt(string(fields[21]), 10, 64)
	return process{parent, pages}, errP == nil && errR == nil
}

// diskWatch measures how much the writable directories have grown.
type diskWatch struct {
	paths  []string
	before int64
	limit  int64
}

func newDiskWatch(paths []string, limit int64) *diskWatch {
	w := &diskWatch{paths: paths, limit: limit}
	w.before, _ = w.measure(context.Background())
	return w
}

func (w *diskWatch) run(ctx context.Context, exceeded func()) {
	pause := 100 * time.Millisecond
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		begin := time.Now()
		size, err := w.measure(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil || size-w.before > w.limit {
			exceeded()
			return
		}
		// A large tree takes longer to measure: never spend more than a fifth of a processor on it.
		pause = max(100*time.Millisecond, 4*time.Since(begin))
	}
}

const (
	maxDepth = 500
	// inodeCost is charged for each name, so that a million empty files are not free.
	inodeCost = 512
)

var errTooDeep = errors.New("directories are nested too deeply")

func (w *diskWatch) measure(ctx context.Context) (int64, error) {
	var sum int64
	for _, path := range w.paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			sum += st.Blocks * 512
			_ = unix.Close(fd)
			continue
		}
		size, err := treeSize(ctx, os.NewFile(uintptr(fd), path), 0)
		sum += size
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// treeSize works on open directories and not on paths: a script can nest folders beyond the longest path, and swap a
// folder for a link at any moment. It closes dir.
func treeSize(ctx context.Context, dir *os.File, depth int) (int64, error) {
	defer func() { _ = dir.Close() }()
	if depth > maxDepth {
		return 0, errTooDeep
	}
	var sum int64
	for ctx.Err() == nil {
		names, err := dir.Readdirnames(1000)
		for _, name := range names {
			size, err := entrySize(ctx, dir, name, depth)
			sum += size
			if err != nil {
				return sum, err
			}
		}
		if err == io.EOF || err != nil {
			return sum, nil
		}
	}
	return sum, nil
}

func entrySize(ctx context.Context, dir *os.File, name string, depth int) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0, nil //nolint:nilerr // it is gone
	}
	size := st.Blocks*512 + inodeCost
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return size, nil
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return size, nil //nolint:nilerr // it is gone, or not to be read: the script made it so for itself too
	}
	below, err := treeSize(ctx, os.NewFile(uintptr(fd), name), depth+1)
	return size + below, err
}
