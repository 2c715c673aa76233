//go:build !linux

package gateway

import "syscall"

// splice reports that this system has no such call.
func (p *passage) splice(from, to syscall.RawConn) (done bool, err error) { return false, nil }
