package socket

import (
	"encoding/binary"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls below do not wait, so they bypass the scheduler: else, on a busy machine,
// it takes the goroutine's processor away in the middle of many of them, and wakes a thread
// to use it.

func read(fd int, p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno != unix.EINTR {
			return outcome(n, errno)
		}
	}
}

func write(fd int, p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno != unix.EINTR {
			return outcome(n, errno)
		}
	}
}

func accept(fd int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, acceptFlags, 0, 0)
	return outcome(n, errno)
}

func outcome(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func writev(fd int, parts [][]byte) (int, error) {
	var vectors [4]unix.Iovec
	n := 0
	for _, p := range parts {
		if len(p) > 0 && n < len(vectors) {
			vectors[n].Base = unsafe.SliceData(p)
			vectors[n].SetLen(len(p))
			n++
		}
	}
	for {
		written, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vectors)), uintptr(n))
		if errno != unix.EINTR {
			return outcome(written, errno)
		}
	}
}

func epollCtl(epoll, op, fd int, event *unix.EpollEvent) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(event)), 0, 0)
	_, err := outcome(0, errno)
	return err
}

// epollWait returns how many events there are, at once.
func epollWait(epoll int, events []unix.EpollEvent) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

func newSocket(family int) (int, error) {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return -1, os.NewSyscallError("socket", errno)
	}
	return int(fd), nil
}

func closeSocket(fd int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("close", errno)
	}
	return nil
}

// connectUnix connects to a path, or to a name in the abstract namespace.
func connectUnix(fd int, name string) error {
	sa := unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	if name == "" || len(name) >= len(sa.Path) {
		return unix.EINVAL
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&sa.Path)), len(sa.Path)), name)
	size := unsafe.Offsetof(sa.Path) + uintptr(len(name)) + 1
	if name[0] == '@' {
		sa.Path[0] = 0
		size-- // without an end
	}
	return connect(fd, unsafe.Pointer(&sa), size)
}

func connectTCP(fd int, to netip.AddrPort) error {
	if to.Addr().Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
		return connect(fd, unsafe.Pointer(&sa), unix.SizeofSockaddrInet4)
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: to.Addr().As16()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
	return connect(fd, unsafe.Pointer(&sa), unix.SizeofSockaddrInet6)
}

func connect(fd int, sa unsafe.Pointer, size uintptr) error {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(sa), size)
		if errno != unix.EINTR {
			_, err := outcome(0, errno)
			return err
		}
	}
}

func family(to netip.AddrPort) int {
	if to.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func unread(fd int) (int, error) {
	var n int32
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCINQ, uintptr(unsafe.Pointer(&n)))
	if errno != 0 {
		return 0, os.NewSyscallError("ioctl", errno)
	}
	return int(n), nil
}
