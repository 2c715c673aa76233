package socket

import (
	"net"
	"os"
	"syscall"
)

// OwnerOf asks the kernel who has connected.
func OwnerOf(nc net.Conn) (Owner, error) {
	rc, err := rawOf(nc)
	if err != nil {
		return Owner{}, err
	}
	var cred *syscall.Ucred
	cerr := rc.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	switch {
	case cerr != nil:
		return Owner{}, cerr
	case err != nil:
		return Owner{}, os.NewSyscallError("getsockopt", err)
	}
	return Owner{UID: cred.Uid, PID: cred.Pid}, nil
}
