package gateway

import (
	"net"
	"os"
	"syscall"
)

// processOf asks the kernel who has connected.
func processOf(nc net.Conn) (process, error) {
	rc, err := rawConn(nc)
	if err != nil {
		return process{}, err
	}
	var cred *syscall.Ucred
	cerr := rc.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	switch {
	case cerr != nil:
		return process{}, cerr
	case err != nil:
		return process{}, os.NewSyscallError("getsockopt", err)
	}
	return process{uid: cred.Uid, pid: cred.Pid}, nil
}
