package cluster

import "syscall"

// childAttr gives a child a process group of its own (a Ctrl-C at the terminal is for the parent to act on) and has
// the kernel kill it when its parent ends.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
