package gateway

import (
	"io"
	"math"
	"net"
	"sync"
	"syscall"
	"time"
)

// An origin and a target are the ends of a passage: connections, or files.
type origin interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

type target interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}

// A passage moves bytes as they are from one stream to another; within the
// kernel if both are plain sockets or files and it has splice(2), else through
// a buffer. The standard library's io.Copy splices too, but not to a UNIX socket
// unless all of a TCP stream goes there, nor with a deadline for every pause.
type passage struct {
	from  origin
	to    target        // nil: the bytes are dropped
	left  int64         // still to be taken; endless: until from ends
	idle  time.Duration // bounds every pause, on either side
	moved func(n int)   // is told of each part that to has taken; may be nil

	putBy func() time.Time // the deadline for a write that begins now; nil: by idle

	spliced func(n int) // the same, of parts that went through the kernel alone

	mu    sync.Mutex // held during a write
	given int64      // guarded by mu: what to has taken
}

// endless is what is left of a stream whose end is not known.
const endless = math.MaxInt64

// worthSplicing is the least that goes through the kernel alone: below it the
// pipe costs more than it saves.
const worthSplicing = 256 << 10

// A writeError is that of the stream to which bytes went; others are of the one
// from which they came.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// run returns nil when nothing is left, io.EOF if the stream ends before, and
// else what failed. Bytes that were taken and not written are lost.
func (p *passage) run() error {
	if p.left < worthSplicing {
		return p.copy()
	}
	if from, to := descriptor(p.from), descriptor(p.to); from != nil && to != nil {
		if done, err := p.splice(from, to); done {
			return err
		}
	}
	return p.copy()
}

// copy is the way through a buffer of our own.
func (p *passage) copy() error {
	buf := buffers.Get().(*[backendBuffer]byte)
	defer buffers.Put(buf)
	for p.left > 0 {
		p.from.SetReadDeadline(time.Now().Add(p.idle))
		n, err := p.from.Read(buf[:min(int64(len(buf)), p.left)])
		p.take(n)
		if n > 0 && p.to != nil {
			werr := p.put(n, func() error { _, err := p.to.Write(buf[:n]); return err })
			if werr != nil {
				return werr
			}
		}
		if err != nil && p.left > 0 {
			return err
		}
	}
	return nil
}

// put has n bytes written.
func (p *passage) put(n int, write func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	by := time.Now().Add(p.idle)
	if p.putBy != nil {
		by = p.putBy()
	}
	p.to.SetWriteDeadline(by)
	if err := write(); err != nil {
		return writeError{err}
	}
	p.given += int64(n)
	if p.moved != nil {
		p.moved(n)
	}
	return nil
}

// taken is how many bytes the target has taken, a write under way included, which
// is waited for. It may be called while the passage runs.
func (p *passage) taken() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given
}

// take counts bytes that have come.
func (p *passage) take(n int) {
	if p.left != endless {
		p.left -= int64(n)
	}
}

// unwrap is the connection within nc, if nc is ours around one.
func unwrap(s any) any {
	if wrapped, ok := s.(interface{ Raw() net.Conn }); ok {
		return wrapped.Raw()
	}
	return s
}

// descriptor is the kernel's side of a stream, nil if what is read and written
// is not what the kernel has, as with TLS.
func descriptor(s any) syscall.RawConn {
	sc, ok := unwrap(s).(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return rc
}
