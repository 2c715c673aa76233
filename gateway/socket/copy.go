package socket

import (
	"io"
	"math"
	"net"
	"sync"
	"syscall"
	"time"
)

// A Source is where the bytes of a Copy come from: a connection, or a file.
type Source interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// A Target is where the bytes go.
type Target interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}

// A Copy moves bytes as they are from one stream to another; within the
// kernel if both are plain sockets or files and it has splice(2), else through
// a buffer. The standard library's io.Copy splices too, but not to a UNIX socket
// unless all of a TCP stream goes there, nor with a deadline for every pause.
type Copy struct {
	From  Source
	To    Target        // nil: the bytes are dropped
	Left  int64         // still to be taken; Endless: until From ends
	Idle  time.Duration // bounds every pause, on either side
	Moved func(n int)   // called for each part that To has taken; may be nil

	WriteBy func() time.Time // the deadline for a write that begins now; nil: by Idle

	Spliced func(n int) // the same, of parts that went through the kernel alone

	mu    sync.Mutex // held during a write
	given int64      // guarded by mu: what To has taken
}

// Endless is what is left of a stream whose end is not known.
const Endless = math.MaxInt64

// MinSplice is the least that goes through the kernel alone: below it the
// pipe costs more than it saves.
const MinSplice = 256 << 10

// A WriteError is that of the stream to which bytes went; others are of the one
// from which they came.
type WriteError struct{ error }

func (e WriteError) Unwrap() error { return e.error }

// Run returns nil when nothing is left, io.EOF if the stream ends before, and
// else what failed. Bytes that were taken and not written are lost.
func (p *Copy) Run() error {
	if p.Left < MinSplice {
		return p.copy()
	}
	if from, to := descriptor(p.From), descriptor(p.To); from != nil && to != nil {
		if done, err := p.splice(from, to); done {
			return err
		}
	}
	return p.copy()
}

// copy is the way through a buffer of our own.
func (p *Copy) copy() error {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	for p.Left > 0 {
		p.From.SetReadDeadline(time.Now().Add(p.Idle))
		n, err := p.From.Read(buf[:min(int64(len(buf)), p.Left)])
		p.take(n)
		if n > 0 && p.To != nil {
			werr := p.put(n, func() error { _, err := p.To.Write(buf[:n]); return err })
			if werr != nil {
				return werr
			}
		}
		if err != nil && p.Left > 0 {
			return err
		}
	}
	return nil
}

const copyBuffer = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// put writes n bytes.
func (p *Copy) put(n int, write func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	by := time.Now().Add(p.Idle)
	if p.WriteBy != nil {
		by = p.WriteBy()
	}
	p.To.SetWriteDeadline(by)
	if err := write(); err != nil {
		return WriteError{err}
	}
	p.given += int64(n)
	if p.Moved != nil {
		p.Moved(n)
	}
	return nil
}

// Taken is how many bytes the Target has taken, a write under way included, which
// is waited for. It may be called while the Copy runs.
func (p *Copy) Taken() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given
}

// take counts bytes that have come.
func (p *Copy) take(n int) {
	if p.Left != Endless {
		p.Left -= int64(n)
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
