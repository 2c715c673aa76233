//go:build !linux

package stack

import "syscall"

// ownGroup puts a program into a process group of its own: Ctrl-C at the terminal does
// not reach it, and Pause and Kill reach its workers. Only Linux can end it when this
// process dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
