package bench

import (
	"fmt"
	"syscall"
)

// AllowFiles makes sure that this process may have n files and connections open.
func AllowFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	want := uint64(n)
	if limit.Cur >= want {
		return nil
	}
	limit.Cur, limit.Max = want, max(limit.Max, want)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d files have to be open at once (ulimit -n %d): %w", n, n, err)
	}
	return nil
}
