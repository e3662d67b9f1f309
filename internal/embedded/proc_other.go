//go:build unix && !linux

package embedded

import "syscall"

// Only Linux can tie a child's life to its parent's.
func childAttr(cred *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: cred}
}
