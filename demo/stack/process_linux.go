package stack

import "syscall"

// ownGroup keeps Ctrl-C at the terminal from a program, and lets Pause and Kill
// reach its workers. It gets a TERM when we die, however we die; not a KILL, since
// a master that is killed leaves its workers behind.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
