package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// socketPathMax is what fits into sun_path with its end: 107 bytes on Linux, 103 on macOS and the BSDs.
const socketPathMax = 103

// socketDir is a folder for a unix socket that only its owner (and root) can enter.
type socketDir struct {
	path string
	temp bool
}

// newSocketDir makes dir/run, or a short temporary folder where dir is too long for a socket named name in it.
func newSocketDir(dir, name string, cred *syscall.Credential) (socketDir, error) {
	s := socketDir{path: filepath.Join(dir, "run")}
	if len(filepath.Join(s.path, name)) > socketPathMax {
		temp, err := os.MkdirTemp(shortTemp(), "sre-")
		if err != nil {
			return socketDir{}, fmt.Errorf("make a socket folder: %w", err)
		}
		s = socketDir{path: temp, temp: true}
	}
	if err := ownedDir(s.path, cred); err != nil {
		s.remove()
		return socketDir{}, err
	}
	return s, nil
}

// shortTemp is the system's own folder for temporary files: TMPDIR may be what made the path too long.
func shortTemp() string {
	if info, err := os.Stat("/tmp"); err == nil && info.IsDir() {
		return "/tmp"
	}
	return os.TempDir()
}

func (s socketDir) remove() {
	if s.temp {
		_ = os.RemoveAll(s.path)
	}
}

// ownedDir makes path a folder of cred's user (of ours when cred is nil) that nobody else can enter.
func ownedDir(path string, cred *syscall.Credential) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	if cred != nil {
		if err := os.Chown(path, int(cred.Uid), int(cred.Gid)); err != nil {
			return fmt.Errorf("give %s to uid %d: %w", path, cred.Uid, err)
		}
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return fmt.Errorf("close %s to others: %w", path, err)
	}
	return nil
}
