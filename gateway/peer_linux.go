package gateway

import (
	"net"
	"os"
	"syscall"
)

// processOf asks the kernel who has connected.
func processOf(nc *net.UnixConn) (process, error) {
	rc, err := nc.SyscallConn()
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
