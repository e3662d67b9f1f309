package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// stillInUse reads from a failed start that an earlier server, or a session that it left, is not gone yet.
func stillInUse(err error) bool {
	text := err.Error()
	return strings.Contains(text, `lock file "postmaster.pid" already exists`) ||
		strings.Contains(text, "pre-existing shared memory block") ||
		strings.Contains(text, ".s.PGSQL.5432.lock\" already exists")
}

// clearStale makes a postmaster.pid harmless that a killed server left and whose process id another process has
// by now: PostgreSQL would take that one for itself and refuse to start.
//
// The file is kept, with our own process id: PostgreSQL ignores its parent's, and still finds in the other lines
// the shared memory by which it knows whether sessions of the killed server are alive.
func (p *Postgres) clearStale() error {
	path := filepath.Join(p.dataDir(), "postmaster.pid")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) == 0 { // cut short before anything was in it
		return os.Remove(path)
	}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(first)))
	if err != nil || pid <= 0 {
		return fmt.Errorf("read %s: its first line is no process id: %q", path, first)
	}
	if p.serves(pid) {
		return nil
	}
	mine := append([]byte(strconv.Itoa(os.Getpid())+"\n"), rest...)
	if err := os.WriteFile(path, mine, 0o600); err != nil {
		return fmt.Errorf("rewrite %s: %w", path, err)
	}
	// The socket's own lock file has the same trouble and guards nothing that the first doesn't.
	for _, name := range []string{".s.PGSQL.5432", ".s.PGSQL.5432.lock"} {
		if err := os.Remove(filepath.Join(p.socket.path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear socket: %w", err)
		}
	}
	return nil
}

// serves says whether pid may be a server on our data: its working directory is the data directory. Where /proc
// does not tell, any live process may be.
func (p *Postgres) serves(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		_, noProc := os.Stat("/proc/self")
		return noProc != nil
	}
	real, err := filepath.EvalSymlinks(p.dataDir())
	return err != nil || cwd == real
}
