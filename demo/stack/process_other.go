//go:build !linux

package stack

import "syscall"

// ownGroup keeps Ctrl-C at the terminal from a program, and lets Pause and Kill
// reach its workers. Only Linux can tell it of our death.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
