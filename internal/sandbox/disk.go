package sandbox

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// diskWatch measures how much the writable directories have grown.
type diskWatch struct {
	paths   []string
	devices []device
	before  usage
	limits  Limits
}

// usage is what files take.
type usage struct{ bytes, files int64 }

func (u *usage) add(v usage) { u.bytes, u.files = u.bytes+v.bytes, u.files+v.files }

func newDiskWatch(paths []string, limits Limits) *diskWatch {
	w := &diskWatch{paths: paths, limits: limits}
	w.before, _ = w.measure(context.Background())
	for _, path := range paths {
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil {
			w.devices = append(w.devices, st.Dev)
		}
	}
	return w
}

func (w *diskWatch) run(ctx context.Context, init int, exceeded func()) {
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
		now, err := w.measure(ctx)
		if ctx.Err() != nil {
			return
		}
		deleted, _ := deletedFiles(init, descendants(init), w.devices)
		if err != nil || now.bytes+deleted-w.before.bytes > w.limits.Disk || now.files-w.before.files > w.limits.Files {
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

func (w *diskWatch) measure(ctx context.Context) (usage, error) {
	var sum usage
	for _, path := range w.paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			sum.add(usage{st.Blocks * 512, 1})
			_ = unix.Close(fd)
			continue
		}
		size, err := treeSize(ctx, os.NewFile(uintptr(fd), path), 0)
		sum.add(size)
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// treeSize works on open directories and not on paths: a script can nest folders beyond the longest path, and swap a
// folder for a link at any moment. It closes dir.
func treeSize(ctx context.Context, dir *os.File, depth int) (usage, error) {
	defer func() { _ = dir.Close() }()
	if depth > maxDepth {
		return usage{}, errTooDeep
	}
	var sum usage
	for ctx.Err() == nil {
		names, err := dir.Readdirnames(1000)
		for _, name := range names {
			size, err := entrySize(ctx, dir, name, depth)
			sum.add(size)
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

func entrySize(ctx context.Context, dir *os.File, name string, depth int) (usage, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return usage{}, nil //nolint:nilerr // it is gone
	}
	size := usage{st.Blocks*512 + inodeCost, 1}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return size, nil
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return size, nil //nolint:nilerr // it is gone, or not to be read: the script made it so for itself too
	}
	below, err := treeSize(ctx, os.NewFile(uintptr(fd), name), depth+1)
	size.add(below)
	return size, err
}
