package socket

import "golang.org/x/sys/unix"

// MaxFiles returns how many files and connections the process may have open, or 0 if that is
// not known.
func MaxFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20)) // it may be infinite
}
