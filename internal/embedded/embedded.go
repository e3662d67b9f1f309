// Package embedded runs the services that sre-agent depends on inside or beneath this process, so that one
// machine needs no set-up: NATS in process, Redis in process (for one process only) or as a private server, and a
// private PostgreSQL from the machine's own binaries.
//
// It promises that nothing listens beyond loopback or a private unix socket, that a directory is used by one
// process at a time, that a directory left by a killed process is taken over, and that children end with their
// parent (on Linux by the kernel; elsewhere by Stop alone). Children get none of the process's environment.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// ErrInUse says that another live process uses the directory.
var ErrInUse = errors.New("directory is in use by another process")

// lockDir makes dir and holds it for this process. The kernel drops the hold when the process ends in any way.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", dir, ErrInUse)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
