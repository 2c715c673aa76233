package socket

import (
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
