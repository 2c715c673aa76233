//go:build !linux

package socket

import "syscall"

// splice reports that this system has no such call.
func (p *Copy) splice(from, to syscall.RawConn) (done bool, err error) { return false, nil }
