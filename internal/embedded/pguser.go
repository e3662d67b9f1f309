package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// fallbackHome holds the data of servers that root starts for a directory that their user can't reach, such as one
// below root's home.
const fallbackHome = "/var/lib/sre-agent"

// serverUser says whom the server runs as: nil for ourselves; PostgreSQL refuses root, so root lends it to
// "postgres" or, where that does not exist, "nobody".
func serverUser(uid int) (*syscall.Credential, error) {
	if uid != 0 {
		return nil, nil //nolint:nilnil // no other user is an answer
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		id, err1 := strconv.ParseUint(u.Uid, 10, 32)
		group, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(id), Gid: uint32(group)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody to run it as")
}

// reachableDir returns dir, with its parent made and resolved, or a folder of fallbackHome named after it when the
// server's user can't get there.
func (p *Postgres) reachableDir(dir string) (string, error) {
	dir, err := withParent(dir)
	if err != nil {
		return "", err
	}
	blocked, err := blockedBy(dir, p.cred)
	if err != nil || blocked == "" {
		return dir, err
	}
	if err := openDir(fallbackHome); err != nil {
		return "", unreachable(dir, blocked, p.cred, err)
	}
	sum := sha256.Sum256([]byte(dir))
	other := filepath.Join(fallbackHome, "postgres-"+hex.EncodeToString(sum[:6]))
	if again, err := blockedBy(other, p.cred); err != nil || again != "" {
		return "", unreachable(dir, blocked, p.cred, fmt.Errorf("nor can it enter %q (%w)", again, err))
	}
	p.log.Warn("PostgreSQL's user can't reach the data directory; its data is elsewhere",
		"asked", dir, "closed", blocked, "used", other)
	return other, nil
}

func unreachable(dir, blocked string, cred *syscall.Credential, err error) error {
	return fmt.Errorf("PostgreSQL runs as uid %d, which can't enter %s on the way to %s; choose another directory, or chmod o+x %s: %w",
		cred.Uid, blocked, dir, blocked, err)
}

// withParent makes the folder above dir and resolves its links: the way that is checked is the way that is used.
func withParent(dir string) (string, error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("make %s: %w", parent, err)
	}
	parent, err := filepath.EvalSymlinks(parent)
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(dir)), nil
}

// openDir makes dir a folder that everyone may pass, whatever the umask, and only its owner may read.
func openDir(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	return os.Chmod(dir, 0o711)
}

// blockedBy returns the first folder above dir that cred can't pass, or "". dir itself will be given to cred.
func blockedBy(dir string, cred *syscall.Credential) (string, error) {
	for at := filepath.Dir(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return "", err
		}
		if !canPass(info, cred) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", nil
		}
	}
}

func canPass(info fs.FileInfo, cred *syscall.Credential) bool {
	mode := info.Mode().Perm()
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && st.Uid == cred.Uid:
		return mode&0o100 != 0
	case ok && st.Gid == cred.Gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}
