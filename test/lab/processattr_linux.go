package lab

import "syscall"

// childAttributes put a child in a process group of its own, and have the kernel kill it when this
// process ends without stopping it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
