package stack

import "syscall"

// ownGroup puts a program into a process group of its own: Ctrl-C at the terminal does
// not reach it, and Pause and Kill reach its workers. The kernel sends it TERM when this
// process dies. It is not KILL, because a killed master leaves its workers behind.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
