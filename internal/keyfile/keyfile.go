// Package keyfile reads files that hold a private key.
//
// It promises that a file which others may read or change is refused, and not only warned about.
package keyfile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

const maxSize = 1 << 20

// Read reads a file that is ours alone. A group may read a file that is not ours: that is how Kubernetes mounts a
// secret for a process that is not root.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	forbidden := fs.FileMode(0o077)
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		forbidden = 0o037
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	case mode.Perm()&forbidden != 0:
		return nil, fmt.Errorf("%s may be read or changed by others (mode %04o): chmod 600", path, mode.Perm())
	case info.Size() > maxSize:
		return nil, fmt.Errorf("%s is too large for a key", path)
	}
	return os.ReadFile(path)
}
