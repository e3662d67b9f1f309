package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// watchMemory calls exceeded when the sandbox has more memory than it may.
func watchMemory(ctx context.Context, tooMuch func() bool, exceeded func()) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if tooMuch() {
			exceeded()
			return
		}
	}
}

// usedMemory is what the processes below init hold, where no control group counts. Pages that several of them share
// are counted for each, so the sum errs on the safe side.
func usedMemory(init int) int64 {
	below := descendants(init)
	var pages int64
	for _, p := range below {
		pages += p.pages
	}
	_, files := deletedFiles(init, below, nil)
	return pages*int64(os.Getpagesize()) + files + memoryFolders(init)
}

// memoryFolders is what is in the folders that are in memory. A file costs the kernel memory even when it is empty.
func memoryFolders(init int) int64 {
	const inodeCost = 1024
	var sum int64
	for _, dir := range memoryDirs {
		var st unix.Statfs_t
		if unix.Statfs(fmt.Sprintf("/proc/%d/root%s", init, dir), &st) == nil {
			sum += int64(st.Blocks-st.Bfree)*st.Bsize + int64(st.Files-st.Ffree)*inodeCost
		}
	}
	return sum
}

var memoryDirs = []string{"/tmp", "/dev/shm"}

type device = uint64

// deletedFiles is the size of the files that have no name any more but are open: on the devices in onDisk, and
// elsewhere, which is in memory. Those in memoryDirs are left out.
func deletedFiles(init int, processes map[int]process, onDisk []device) (disk, memory int64) {
	var counted []device
	for _, dir := range memoryDirs {
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/root%s", init, dir), &st) == nil {
			counted = append(counted, st.Dev)
		}
	}
	type inode struct{ dev, ino uint64 }
	seen := map[inode]bool{}
	for pid := range processes {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		names, _ := readNames(dir)
		for _, name := range names {
			var st unix.Stat_t
			if unix.Stat(dir+"/"+name, &st) != nil || st.Nlink != 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
			id := inode{st.Dev, st.Ino}
			if seen[id] || slices.Contains(counted, st.Dev) {
				continue
			}
			seen[id] = true
			if slices.Contains(onDisk, st.Dev) {
				disk += st.Blocks * 512
			} else {
				memory += st.Blocks * 512
			}
		}
	}
	return disk, memory
}

func readNames(path string) ([]string, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	return dir.Readdirnames(-1)
}

type process struct {
	parent int
	pages  int64
}

// descendants are init and what is below it; a namespace's orphans become children of its init, so nobody is missed.
func descendants(init int) map[int]process {
	processes := processTable()
	below := map[int]process{}
	for pid, p := range processes {
		for up, depth := pid, 0; depth < len(processes)+1; depth++ {
			if up == init {
				below[pid] = p
				break
			}
			parent, ok := processes[up]
			if !ok {
				break
			}
			up = parent.parent
		}
	}
	return below
}

func processTable() map[int]process {
	names, _ := readNames("/proc")
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
