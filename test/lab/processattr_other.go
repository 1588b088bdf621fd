//go:build unix && !linux

package lab

import "syscall"

// childAttributes put a child in a process group of its own. Only Linux can also tie its life to
// this process: elsewhere it survives a caller that is killed with SIGKILL.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
