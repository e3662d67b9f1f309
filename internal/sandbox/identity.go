package sandbox

import (
	"bufio"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
)

// identity is who the script is for the kernel.
//
// RLIMIT_NPROC does not hold for the kernel's root, so a service that runs as root gives each run a user of its own
// (mapped). A service that is not root stays who it is.
type identity struct {
	uid    int
	mapped bool
}

// gid is the script's group: its own, as its user is, or the service's.
func (id identity) gid() int {
	if id.mapped {
		return id.uid
	}
	return os.Getegid()
}

// identities hands out users from a high range that no account uses, each to one run at a time.
type identities struct {
	mu          sync.Mutex
	base, count int
	used        map[int]bool
}

const (
	wantedBase  = 200_000
	wantedCount = 65_536
)

func newIdentities() *identities {
	ids := &identities{used: map[int]bool{}}
	if os.Geteuid() != 0 {
		return ids
	}
	users, errU := os.ReadFile("/proc/self/uid_map")
	groups, errG := os.ReadFile("/proc/self/gid_map")
	if errU != nil || errG != nil || string(users) != string(groups) {
		return ids
	}
	ids.base, ids.count = pickRange(string(users))
	return ids
}

// pickRange finds users that exist here: in a container there may be fewer than the kernel has. A count of zero says
// that there are none to spare.
func pickRange(uidMap string) (base, count int) {
	lines := bufio.NewScanner(strings.NewReader(uidMap))
	for lines.Scan() {
		var inside, outside, length int
		if _, err := fmt.Sscan(lines.Text(), &inside, &outside, &length); err != nil {
			continue
		}
		if inside <= wantedBase && inside+length >= wantedBase+wantedCount {
			return wantedBase, wantedCount
		}
		if length >= 16_384 {
			// The top of the range; accounts live at the bottom, nobody (65534) near the end of a common one.
			base, count = inside+length-8192, 4096
		}
	}
	return base, count
}

func (ids *identities) take() (identity, func()) {
	if ids.count == 0 {
		return identity{uid: os.Geteuid()}, func() {}
	}
	ids.mu.Lock()
	defer ids.mu.Unlock()
	for {
		// At random, as other processes on this machine hand out from the same range.
		uid := ids.base + rand.IntN(ids.count)
		if ids.used[uid] {
			continue
		}
		ids.used[uid] = true
		return identity{uid: uid, mapped: true}, func() {
			ids.mu.Lock()
			defer ids.mu.Unlock()
			delete(ids.used, uid)
		}
	}
}

// own gives everything below path to the identity. Nothing of an earlier run is alive, os.Root keeps the walk inside,
// and Lchown changes a link itself.
func (id identity) own(path string) error {
	if !id.mapped {
		return nil
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return os.Lchown(path, id.uid, id.uid)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == id.uid {
			return nil
		}
		return root.Lchown(name, id.uid, id.uid)
	})
}
