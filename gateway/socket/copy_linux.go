package socket

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is how much one call of splice(2) can move. The kernel may give less
// to a user who has many pipes.
const pipeSize = 256 << 10

// splice moves what is left without taking it into the program. It reports
// false, having done nothing, if the kernel cannot do that with these two.
func (p *Copy) splice(from, to syscall.RawConn) (done bool, err error) {
	pipe, err := newPipe()
	if err != nil {
		return false, nil // out of descriptors, most likely: copying needs none
	}
	defer pipe.close()
	for first := true; p.Left > 0; first = false {
		p.From.SetReadDeadline(time.Now().Add(p.Idle))
		n, err := pipe.fill(from, int(min(pipeSize, p.Left)))
		switch {
		case first && errors.Is(err, unix.EINVAL):
			return false, nil
		case err != nil:
			return true, err
		}
		p.take(n)
		if err := p.put(n, func() error { return pipe.drain(to, n) }); err != nil {
			return true, err
		}
		if p.Spliced != nil {
			p.Spliced(n)
		}
	}
	return true, nil
}

// A pipe is where spliced bytes are between two streams. It is empty whenever
// it is filled, so only its streams are ever waited for.
type pipe struct{ r, w int }

func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{r: fds[0], w: fds[1]}, nil
}

func (p *pipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}

// fill takes at least one byte and at most limit, or returns io.EOF.
func (p *pipe) fill(from syscall.RawConn, limit int) (int, error) {
	n, err := retried(from.Read, func(fd int) (int64, error) {
		return unix.Splice(fd, nil, p.w, nil, limit, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	})
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, err
}

// drain writes all n bytes that the pipe holds.
func (p *pipe) drain(to syscall.RawConn, n int) error {
	for n > 0 {
		written, err := retried(to.Write, func(fd int) (int64, error) {
			return unix.Splice(p.r, nil, fd, nil, n, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		})
		if err != nil {
			return err
		}
		n -= written
	}
	return nil
}

// retried makes a system call, again when the descriptor is ready for it or the
// call was interrupted.
func retried(when func(func(fd uintptr) bool) error, call func(fd int) (int64, error)) (int, error) {
	var n int64
	var err error
	werr := when(func(fd uintptr) bool {
		for {
			n, err = call(int(fd))
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if werr != nil {
		return 0, werr
	}
	return int(n), os.NewSyscallError("splice", err)
}
